"""Faults of mints on the wire: what a raw client meets."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.harness.uploading import BODY, answer_to_upload, is_silent
from tests.rawclient import RawAnswer, RawClient, mint_request, upload_head


def answer_to_mint(peer: FakePeer, cluster: FakeCluster) -> RawAnswer:
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        return client.read_answer()


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (faults.mint_refused(), 401, {"error": "invalid credentials"}),
        (faults.mint_refused("Must login"), 401, {"error": "Must login"}),
        (faults.mint_refused("no keys", 500), 500, {"error": "no keys"}),
        (faults.mint_without_token(), 200, {"refresh_token": "not-what-was-asked-for"}),
        (faults.mint_with_token(123), 200, {"operation_token": 123}),
        (faults.mint_with_token(None), 200, {"operation_token": None}),
    ],
)
def test_mint_answers(cluster: FakeCluster, fault: faults.Fault, status: int, body: object) -> None:
    peer = cluster.peer(fault=fault)
    came = answer_to_mint(peer, cluster)
    assert (came.status, came.json) == (status, body)
    assert peer.mints[0].token is None


def test_mint_nested(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.MintNested())
    token = answer_to_mint(peer, cluster).json["results"]["operation_token"]
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + BODY)
        assert client.read_answer().status == 200


def test_mint_hangs(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.MintHangs())
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert is_silent(client)
    assert len(peer.mints) == 1


def test_mint_dropped(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.MintDropped())
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(mint_request(peer))
        assert client.read_to_the_end() == b""


def test_mint_for_another_user(cluster: FakeCluster) -> None:
    came = answer_to_upload(cluster.peer(fault=faults.MintForAnotherUser()), cluster)
    assert came.status == 403
    assert set(came.json) == {"error", "unauthorized_access", "invalid_schema_items"}


def test_tokens_expire(cluster: FakeCluster) -> None:
    peer = cluster.peer(fault=faults.TokensExpire(first=1))
    answers = [answer_to_upload(peer, cluster) for _ in range(2)]
    assert [answer.status for answer in answers] == [401, 200]
    assert answers[0].json == {"error": "token expired"}
