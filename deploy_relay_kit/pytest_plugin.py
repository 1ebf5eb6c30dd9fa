"""The pytest plugin of the kit: fixtures for any test, and what the nodes saw when one fails.

It is loaded in every pytest run where the kit is installed. So it loads nothing else before a
fixture is used, and touches no test that starts no cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import ExceptionRepr  # what `longrepr` is; pytest has no public name for it

from deploy_relay_kit import clusters

if TYPE_CHECKING:
    from deploy_relay_kit.harness import Authority, FakeCluster, FakePeer, RealCluster

WHAT_THE_NODES_SAW = "what the nodes saw"
_CASES = Path(__file__).parent / "harness" / "shipped" / "conformance"  # of an installed kit
_JUDGE = "deploy_relay_kit.harness.judge.cases.plugin"
_CASES_LEFT_OUT = pytest.StashKey[bool]()
_BEGAN = pytest.StashKey[float]()


@pytest.fixture(scope="session")
def relay_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that signs the certificate of every fake peer of the session."""
    from deploy_relay_kit.harness import Authority

    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def fake_cluster(relay_authority: Authority) -> Iterator[FakeCluster]:
    """An empty fake cluster; start nodes with `fake_cluster.peer(fault=…)`.

    When the test fails, its report shows what every node saw.
    """
    from deploy_relay_kit.harness import FakeCluster

    with FakeCluster(authority=relay_authority) as cluster:
        yield cluster


@pytest.fixture
def fake_peer(fake_cluster: FakeCluster) -> FakePeer:
    """A healthy node of `fake_cluster`; set its `fault` to make it misbehave."""
    return fake_cluster.peer()


@pytest.fixture
def real_cluster(
    relay_authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RealCluster]]:
    """Start clusters of real nodes, processes of `relay serve`: `real_cluster(3)`.

    The nodes are stopped after the test; the report of its failure shows what they wrote to
    standard error.
    """
    from deploy_relay_kit.harness import RealCluster

    with ExitStack() as stack:

        def start(nodes: int = 0, *, settings: str = "") -> RealCluster:
            home = tmp_path_factory.mktemp("real-cluster")
            cluster = RealCluster(
                nodes, settings=settings, directory=home, authority=relay_authority
            )
            return stack.enter_context(cluster)

        yield start


def pytest_configure() -> None:
    clusters.keep_started()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the cases that judge a relay, as `pytest --pyargs deploy_relay_kit` finds them."""
    if collection_path != _CASES or config.pluginmanager.has_plugin(_JUDGE):
        return None
    config.stash[_CASES_LEFT_OUT] = True
    return True


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how the cases run that were left out."""
    if _CASES_LEFT_OUT in config.stash:
        terminalreporter.write_line(
            "deploy-relay-kit: its conformance cases judge a relay, and were left out; "
            "run them with relay-harness run"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart() -> None:
    """A test begins; what was stopped before it is not part of it."""
    clusters.forget_stopped()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when a test begins that shares a cluster with earlier tests."""
    if clusters.of_test():
        from deploy_relay_kit.harness.witness.clock import now

        item.stash[_BEGAN] = now()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show in the report of a failed test, and so in JUnit files, what every node saw."""
    report = yield
    if not report.failed or report.when == "teardown":  # by then the cluster is gone
        return report
    since = item.stash.get(_BEGAN, 0.0)
    if seen := "\n".join(cluster.timelines(since) for cluster in clusters.of_test()):
        if isinstance(report.longrepr, ExceptionRepr):
            report.longrepr.addsection(WHAT_THE_NODES_SAW, seen)
        else:  # of another plugin's making, or a bare text
            report.sections.append((WHAT_THE_NODES_SAW, seen))
    return report
