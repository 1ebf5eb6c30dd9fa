"""Fixtures of the conformance cases: a fake cluster, payloads, the relay under test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.harness import (
    Authority,
    FakeCluster,
    Fault,
    InputError,
    Payload,
    stage_payload,
)
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.catalogue import is_origin
from deploy_relay_kit.harness.judge.prerequisite import try_healthy_deploy
from deploy_relay_kit.harness.targets import Record, Target, open_target

ORDER = (
    "url", "url_parts", "tls", "posture", "neighbours", "plain", "token", "mint_failures",
    "mint_answers", "replication", "sockets", "sockets_trust", "similar_hosts", "wire", "fields",
    "values", "refused_requests", "payload", "answers", "answers_framing", "refusals", "records",
    "quotes", "events", "events_forms", "fanout", "names",
)  # fmt: skip
"""The files of cases whose stage of a deploy comes first: reach, trust, mint, upload, answer,
record. The others are about faults and come last."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The cases of origins judge no other target."""
    is_of_origins = collection_path == Path(__file__).parent / "origins"
    return True if is_of_origins and not is_origin(config.getoption("--relay")) else None


SLOW = {"test_patience.py", "test_retry_after.py", "test_memory.py"}
"""The files with cases that wait, or send, for many seconds."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the cases in the order of the stages of a deploy.

    The slow ones run last, or if there are several workers, which begin with equal parts of all,
    first in each part, at the side of all others.
    """
    rank = {f"test_{name}.py": number for number, name in enumerate(ORDER)}
    items.sort(key=lambda item: rank.get(item.path.name, len(ORDER) + (item.path.name in SLOW)))
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        slow = [item for item in items if item.path.name in SLOW]
        quick = [item for item in items if item.path.name not in SLOW]
        cuts = [len(quick) * number // workers for number in range(workers + 1)]
        parts = [slow[i::workers] + quick[cuts[i] : cuts[i + 1]] for i in range(workers)]
        items[:] = [item for part in parts for item in part]


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config, relay_authority: Authority) -> Iterator[Target]:
    try:
        target = open_target(pytestconfig.getoption("--relay"), relay_authority.file)
    except InputError as error:
        pytest.exit(str(error), returncode=2)
    yield target
    target.close()


@pytest.fixture(scope="session")
def blocked_by(target: Target, relay_authority: Authority) -> str:
    """Why the relay cannot even deploy to a healthy peer; empty when it can."""
    return try_healthy_deploy(target, relay_authority).blocked_by


@pytest.fixture
def cluster(fake_cluster: FakeCluster) -> FakeCluster:
    """An empty cluster whose peers note broken rules of the wire format and refuse nothing.

    So a broken rule fails the checks of that rule alone.
    """
    fake_cluster.profile = "witness"
    fake_cluster.judging = True
    return fake_cluster


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, Path], Payload]:
    """Put a payload of a size at a path of the case; its bytes are written once for all cases."""
    directory = tmp_path_factory.mktemp("originals")
    originals: dict[int, tuple[Payload, os.stat_result]] = {}

    def stage(size: int, path: Path) -> Payload:
        """A second name of one file, which is written anew when a case or a relay changed it."""
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
    """A payload of 200 kB: several blocks and chunks for any relay, and quick."""
    return staged(200_000, tmp_path / "package.tar.gz")


@pytest.fixture
def large(staged: Callable[[int, Path], Payload], tmp_path: Path) -> Payload:
    """A payload of 16 MB: more than the buffers between a relay and a peer hold."""
    return staged(16_000_000, tmp_path / "large.tar.gz")


@pytest.fixture
def relay(target: Target, cluster: FakeCluster, payload: Payload, blocked_by: str) -> Relay:
    """The relay under test."""
    return Relay(
        target, ca_file=cluster.ca_file, payload=payload, cluster=cluster, blocked_by=blocked_by
    )


@pytest.fixture
def records_of(cluster: FakeCluster, relay: Relay) -> Callable[..., list[Record]]:
    """The records of one deploy to peers with these faults, all of which get a whole upload."""

    def deploy(*faults: Fault, **how: Any) -> list[Record]:
        peers = [cluster.peer(fault=fault) for fault in faults]
        outcome = relay.deploy(to=peers, **how)
        for peer in peers:
            if not peer.upload.complete:
                raise Unseen(f"the upload to {peer.name} is not whole")
        return [outcome[peer] for peer in peers]

    return deploy


@pytest.fixture
def client_certificate(cluster: FakeCluster, tmp_path: Path) -> Path:
    """A PEM file with a certificate chain of the cluster's authority, and its key."""
    path = tmp_path / "origin.pem"
    path.write_bytes(cluster.authority.client_certificate("origin.example"))
    return path
