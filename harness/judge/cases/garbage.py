"""A pytest plugin that keeps the garbage collector from going through thousands of tests.

They live as long as the run. A collection looked at all of them again, which took an eighth of the
processor time of a run.
"""

import gc

gc.disable()  # while tests are collected, nothing is garbage


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()  # no later collection looks at the tests
    gc.set_threshold(20_000, 50, 50)  # what a test leaves is little


def pytest_sessionfinish() -> None:
    gc.freeze()  # so that the ten collections of pytest at its end take no time
