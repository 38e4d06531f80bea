"""Back-up and restore: snapshots of a running workspace, each piece of a file kept once."""
