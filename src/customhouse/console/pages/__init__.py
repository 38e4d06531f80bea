"""The pages of the console, one module each: what it reads (a Protocol), what it shows, and its routes."""
