"""A pytest plugin: run the cases in another order, named by the environment variable ORDER."""

from __future__ import annotations

import os
import random

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reverse the cases, or shuffle them with a seed, the same in every worker."""
    order = os.environ["ORDER"]
    if order == "reversed":
        items.reverse()
    else:
        random.Random(int(order)).shuffle(items)
