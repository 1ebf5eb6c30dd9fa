"""A real cluster of three nodes for all tests of a file; each test deploys a project of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.origin.nodes import RealCluster, real_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster(tmp_path_factory.mktemp("cluster"), 3) as started:
        yield started


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """The name of a project that no other test deploys."""
    name: str = request.node.name
    return "".join(c if c.isalnum() else "-" for c in name)[:100]
