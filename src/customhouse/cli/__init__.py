"""The command line: a window on everything, and the way in."""
