from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.certs import Authority
from harness.cluster import FakeCluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def cluster(authority: Authority) -> Iterator[FakeCluster]:
    with FakeCluster(authority=authority) as cluster:
        yield cluster
