"""One file per service. Pure: pack requests, weigh answers."""
