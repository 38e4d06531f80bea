"""What browsers see of the door besides ingest: first-party prefixes, the cookie, the SDK's own files, public addresses."""
