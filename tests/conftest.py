"""How many workers `pytest -n auto` starts."""

from __future__ import annotations

import os


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a third of a case's time is spent waiting for a socket."""
    return (os.cpu_count() or 1) + 1
