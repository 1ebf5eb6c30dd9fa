"""A real HarperDB for the tests of interoperation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.harperdb import HarperDb, running_harperdb


@pytest.fixture(scope="session")
def harperdb() -> Iterator[HarperDb]:
    with running_harperdb() as started:
        yield started
