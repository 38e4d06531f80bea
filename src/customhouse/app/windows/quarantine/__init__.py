"""What is held back, as windows see it and what they ask for about it: shared by the console and the command line."""
