"""Deploys to nodes older than 5.1 (VER-01, VER-03)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.witness.requests import OperationWitness
from deploy_relay_kit.harness.witness.wire import LegacyReader
from deploy_relay_kit.relay.upload import takes_forms
from tests.profileclient import GZIP
from tests.relay.driving import DEPLOY, deploy, node_of

LARGE = 40 << 20


def legacy_deploys(peer: FakePeer) -> list[tuple[OperationWitness, LegacyReader]]:
    return [
        (request, request.reader)
        for request in peer.requests
        if isinstance(request, OperationWitness) and isinstance(request.reader, LegacyReader)
    ]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "package.tar.gz"
    path.write_bytes(GZIP)
    return path


def test_an_old_peer_gets_one_cbor_map(cluster: FakeCluster, archive: Path) -> None:
    peer = cluster.peer(profile="pre-5.1")
    [record] = deploy(cluster, archive, legacy=True, ask_for_events=True).records
    assert record["message"] == "Successfully deployed: demo"
    [(request, reader)] = legacy_deploys(peer)
    assert request.header("content-type") == "application/cbor"
    assert request.header("accept") == "application/json"
    assert request.header("transfer-encoding") == "chunked"
    assert reader.whole
    assert reader.members == {**DEPLOY, "replicated": False}
    assert reader.file is not None
    assert reader.file.sha256 == hashlib.sha256(GZIP).hexdigest()
    assert request.findings == []


def test_a_large_payload_arrives_whole(cluster: FakeCluster, tmp_path: Path) -> None:
    package = tmp_path / "package.tar.gz"
    with package.open("wb") as file:
        file.truncate(LARGE)
    peer = cluster.peer(profile="pre-5.1")
    sent: list[int] = []
    report = deploy(
        cluster,
        package,
        legacy=True,
        on_event=lambda event: sent.append(event.data.get("bytes", 0)),
    )
    assert report.succeeded, report
    [(_, reader)] = legacy_deploys(peer)
    assert reader.file is not None
    with package.open("rb") as file:
        assert reader.file.sha256 == hashlib.file_digest(file, "sha256").hexdigest()
    assert max(sent) == LARGE


def test_only_peers_that_name_an_old_version_get_cbor(cluster: FakeCluster, archive: Path) -> None:
    old, new = cluster.peer(profile="pre-5.1"), cluster.peer(profile="harper-5.1")
    events: list[relay.Event] = []
    report = deploy(cluster, archive, probe=True, ask_for_events=True, on_event=events.append)
    assert report.succeeded, report
    assert (len(legacy_deploys(old)), len(old.uploads)) == (1, 0)
    assert (len(legacy_deploys(new)), len(new.uploads)) == (0, 1)
    told = [(event.node, event.data["version"]) for event in events if event.name == "legacy"]
    assert told == [(old.name, "4.7.29")]


def test_a_refused_form_has_a_hint(cluster: FakeCluster, archive: Path) -> None:
    cluster.peer(profile="pre-5.1")
    [record] = deploy(cluster, archive).records
    assert record["statusCode"] == 415
    assert record["hint"].startswith("a node older than 5.1 takes no forms")
    assert "--probe" in record["hint"]


def test_a_refusal_ends_the_upload(cluster: FakeCluster, tmp_path: Path) -> None:
    package = tmp_path / "package.tar.gz"
    with package.open("wb") as file:
        file.truncate(64 << 20)
    peer = cluster.peer(profile="pre-5.1")
    sent: list[Any] = []
    [record] = deploy(
        cluster,
        package,
        [node_of(peer, mint=relay.GivenToken("not.a.token"))],
        legacy=True,
        on_event=lambda event: sent.append(event.data.get("bytes")),
    ).records
    assert (record["reason"], record["statusCode"]) == ("invalid token", 401)
    assert 64 << 20 not in sent


def test_a_payload_that_changes_is_noticed(cluster: FakeCluster, archive: Path) -> None:
    cluster.peer(profile="pre-5.1")

    def change(event: relay.Event) -> None:
        if event.name == "mint":
            archive.write_bytes(GZIP + b"more")

    [record] = deploy(cluster, archive, legacy=True, on_event=change).records
    assert record["stage"] == "payload"


@pytest.mark.parametrize(
    ("version", "modern"),
    [
        ("5.1.14", True),
        ("5.1", True),
        ("5.1.0-beta.3", True),
        ("6.0.0", True),
        ("10.0", True),
        ("5.0.21", False),
        ("4.7.3", False),
        ("4.10", False),
        ("5", True),
        ("v4.1", True),
        ("4" * 5_000 + ".1", True),
        ("", True),
        (None, True),
        (4.1, True),
    ],
)
def test_which_versions_take_forms(version: object, *, modern: bool) -> None:
    assert takes_forms(version) is modern
