"""A pytest plugin: run the cases in another order, or fewer, as ORDER and ROWS say."""

from __future__ import annotations

import os
import random

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reverse the cases, or shuffle them with a seed, the same in every worker.

    ROWS: of each case, so many rows of its table are run.
    """
    order, rows = os.environ.get("ORDER"), int(os.environ.get("ROWS") or 0)
    if rows:
        functions = [item.nodeid.partition("[")[0] for item in items]
        items[:] = [
            item
            for number, item in enumerate(items)
            if functions[:number].count(functions[number]) < rows
        ]
    if order == "reversed":
        items.reverse()
    elif order:
        random.Random(int(order)).shuffle(items)
