"""Fixtures of the conformance cases: a fake cluster, payloads, the relay under test."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.errors import InputError
from harness.judge.leaks import Files, TaintError, changed_since, files_in_reach, taints
from harness.judge.relay import Relay, not_declared
from harness.peer.payloads import Payload, stage_payload
from harness.targets import Target, open_target


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Iterator[Target]:
    try:
        target = open_target(pytestconfig.getoption("--relay"))
    except InputError as error:
        pytest.exit(str(error), returncode=2)
    yield target
    target.close()


@pytest.fixture
def cluster(fake_cluster: FakeCluster) -> FakeCluster:
    """An empty cluster, whose peers note what breaks a rule of the wire format and do not refuse.

    So a relay that breaks one fails the cases of that rule, and not all others with them.
    """
    fake_cluster.profile = "witness"
    return fake_cluster


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, Path], Payload]:
    """Put a payload of a size at a path of the case's own, written only once for all of them."""
    directory = tmp_path_factory.mktemp("originals")
    originals: dict[int, tuple[Payload, os.stat_result]] = {}

    def stage(size: int, path: Path) -> Payload:
        """As a second name of one file, which is written anew when a case or a relay changed it."""
        kept = directory / str(size)
        if size not in originals or not _same_content(kept.stat(), originals[size][1]):
            kept.unlink(missing_ok=True)
            originals[size] = stage_payload(kept, size), kept.stat()
        path.hardlink_to(kept)
        return replace(originals[size][0], path=path)

    return stage


def _same_content(file: os.stat_result, other: os.stat_result) -> bool:
    return (file.st_size, file.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


@pytest.fixture
def payload(staged: Callable[[int, Path], Payload], tmp_path: Path) -> Payload:
    """A payload of 200 kB: several blocks and chunks for any relay, and still quick."""
    return staged(200_000, tmp_path / "package.tar.gz")


@pytest.fixture
def large(staged: Callable[[int, Path], Payload], tmp_path: Path) -> Payload:
    """A payload of 16 MB: more than the buffers between a relay and a peer hold."""
    return staged(16_000_000, tmp_path / "large.tar.gz")


@pytest.fixture
def relay(
    target: Target, cluster: FakeCluster, payload: Payload, request: pytest.FixtureRequest
) -> Relay:
    """The relay under test; a case of a capability that it does not declare is not applicable."""
    asked = [id_ for marker in request.node.iter_markers("requirement") for id_ in marker.args]
    if why := not_declared(target, asked):
        pytest.skip(f"not applicable: {why}")
    return Relay(target, ca_file=cluster.ca_file, payload=payload, cluster=cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """After every case: no credential stands where it does not belong, whatever the case is of."""
    before = files_in_reach()
    try:
        result = yield
    except (Exception, pytest.fail.Exception):
        if found := left_behind(item, before):
            item.user_properties.append(("also leaked", found))
        raise
    if found := left_behind(item, before):
        raise TaintError(found)
    return result


def left_behind(item: pytest.Item, before: Files) -> str:
    """Where credentials stand after a case, in words."""
    arguments = getattr(item, "funcargs", {})
    cluster, relay = arguments.get("cluster"), arguments.get("relay")
    if cluster is None or relay is None or not relay.asked:
        return ""
    return "; ".join(taints(cluster.peers, relay, changed_since(before)))


@pytest.fixture
def client_certificate(cluster: FakeCluster, tmp_path: Path) -> Path:
    """A PEM file with a certificate chain of the cluster's authority, and its key."""
    path = tmp_path / "origin.pem"
    path.write_bytes(cluster.authority.client_certificate("origin.example"))
    return path
