"""Measures what the house costs, and holds it to `budget.toml`. `make bench`, or `python -m bench --help`."""
