"""From a path to the package to send; begin with `staging.py`."""
