"""The composition root: where the rooms meet. `road.py` is the whole flow on one page; a file per process puts it together."""
