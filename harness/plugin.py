"""The pytest plugin of the kit: fixtures for anybody's tests, and the options of the cases.

It is loaded in every pytest run where the kit is installed, so it imports nothing heavy before a
fixture is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from harness.certs import Authority
    from harness.cluster import FakeCluster
    from harness.peer import FakePeer

WHAT_THE_PEERS_SAW = "what the fake peers saw"
_CLUSTERS = pytest.StashKey[list["FakeCluster"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("deploy relay kit")
    group.addoption(
        "--relay",
        metavar="TARGET",
        default="reference",
        help="the relay to judge by the conformance cases (default: reference)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "requirement(*ids): the requirements of the catalogue that a case checks"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # User properties travel with the reports, also from the workers of pytest-xdist.
    for item in items:
        for marker in item.iter_markers("requirement"):
            item.user_properties += [("requirement", id_) for id_ in marker.args]


@pytest.fixture(scope="session")
def relay_authority() -> Authority:
    """The certificate authority that every fake peer of the session is signed by."""
    from harness.certs import Authority

    return Authority()


@pytest.fixture
def fake_cluster(
    relay_authority: Authority, request: pytest.FixtureRequest
) -> Iterator[FakeCluster]:
    """An empty fake cluster; start nodes with `fake_cluster.peer(fault=…)`.

    When the test fails, its report shows what every node saw.
    """
    from harness.cluster import FakeCluster

    with FakeCluster(authority=relay_authority) as cluster:
        request.node.stash.setdefault(_CLUSTERS, []).append(cluster)
        yield cluster


@pytest.fixture
def fake_peer(fake_cluster: FakeCluster) -> FakePeer:
    """One healthy node of `fake_cluster`; set its `fault` to make it misbehave."""
    return fake_cluster.peer()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when == "call":
        for cluster in item.stash.get(_CLUSTERS, []):
            report.sections.append((WHAT_THE_PEERS_SAW, cluster.timelines()))
    # An error of a target says what it makes of the case, whenever it happens.
    if call.excinfo is not None and (verdict := getattr(call.excinfo.value, "verdict", None)):
        report.user_properties.append(("verdict", verdict))
    return report
