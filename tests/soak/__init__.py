"""A long run with every fault at once, by hand; begin with `run.py`."""
