"""What the windows share: reading the house for the command line and the console, and asking its owners to act."""
