"""The front door: accept, authenticate, split, append, and only then say yes. The only async room on the way in."""
