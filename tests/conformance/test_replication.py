"""Minting over the replication socket of a node: the dialogue, and every way it goes wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, End, Held
from harness.faults.kinds import CertificateFlaw, TokensExpire
from harness.judge.cases.relay import Relay
from harness.peer.peer import FakePeer
from harness.replication import FakeReplicationSocket
from harness.replication.faults import (
    Dropped,
    ErrorAnswer,
    Fragments,
    Garbage,
    LateAnswer,
    NestedToken,
    NoAnswer,
    OthersFirst,
    PingFirst,
    ReplicationFault,
    Subprotocol,
    Unauthorized,
    UnknownRequestId,
    UpgradeHangs,
    UpgradeRefused,
    WideMaps,
    WithoutToken,
    WithToken,
    WrongAccept,
)
from harness.targets import DeployNode, Limits, LocalSettings, ReplicationMint

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine


def through(relay: Relay, peer: FakePeer, socket: FakeReplicationSocket) -> DeployNode:
    """The node of a peer that is to mint over this socket."""
    return relay.node(peer, mint=ReplicationMint(), replication_url=socket.url)


@requirement("WS-08", "WS-10", "WS-11", "WS-13", "WS-14", "MINT-01", "SEQ-04")
def test_a_mint_is_one_request_and_one_answer(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    assert relay.deploy(to=[through(relay, peer, socket)])[peer].status == "success"
    seen = socket.socket
    assert seen.broken is None
    [asked] = seen.operations
    assert (asked["operation"], asked["requestId"]) == ("create_authentication_tokens", 1)
    assert "role" not in asked
    assert [(m.code, m.request_id) for m in seen.messages] == [(136, 1), (137, 1)]
    assert seen.closed_by == "client"
    assert peer.upload.token == seen.token
    assert peer.mints == []


def is_closed_by_its_client(socket: FakeReplicationSocket) -> bool:
    return [seen.closed_by for seen in socket.live_sockets] == ["client"]


@requirement("WS-14")
def test_a_socket_is_closed_when_its_answer_has_come(cluster: FakeCluster, relay: Relay) -> None:
    """Left open, it would stand as long as the upload takes; peers hold one for each deploy."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    is_closed = partial(socket.wait_until, is_closed_by_its_client, IN_TIME)
    peer.fault = Held(Answer(json={"message": "done"}), until=is_closed)
    assert relay.deploy(to=[through(relay, peer, socket)])[peer].status == "success"


@requirement("WS-03")
def test_the_handshake_asks_for_the_subprotocol(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    relay.deploy(to=[through(relay, peer, socket)])
    assert socket.socket.subprotocols == ["harperdb-replication-v1"]


@requirement("WS-01")
def test_a_replication_url_without_a_path_means_the_root(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    node = replace(through(relay, peer, socket), replication_url=socket.url.rstrip("/"))
    assert relay.deploy(to=[node])[peer].status == "success"
    assert socket.socket.target == "/"


@requirement("WS-02", "WS-01")
def test_a_name_with_a_port_is_where_the_socket_is(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    name = urlsplit(socket.url).netloc
    node = replace(through(relay, peer, socket), name=name, replication_url=None)
    assert relay.deploy(to=[node]).statuses == ["success"]
    assert socket.socket.token == peer.upload.token


@requirement("WS-01")
def test_without_a_url_the_socket_is_at_the_replication_port_of_the_origin(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    where = urlsplit(socket.url)
    node = replace(through(relay, peer, socket), name=where.hostname or "", replication_url=None)
    settings = LocalSettings(secure_replication_port=where.port, insecure_replication_port=9)
    assert relay.deploy(to=[node], local=settings).statuses == ["success"]
    assert socket.socket.target == "/"


@requirement("SEQ-08", "BUG-39")
def test_each_peer_mints_on_its_own_socket_and_no_payload_goes_there(
    cluster: FakeCluster, relay: Relay
) -> None:
    peers = [cluster.peer() for _ in range(3)]
    sockets = [cluster.replication(peer) for peer in peers]
    nodes = [through(relay, *pair) for pair in zip(peers, sockets, strict=True)]
    assert relay.deploy(to=nodes).statuses == ["success"] * 3
    for peer, socket in zip(peers, sockets, strict=True):
        assert peer.upload.token == socket.socket.token
        assert sum(m.size for m in socket.socket.messages if m.sender == "client") < 1_000


@requirement("WS-09", "WS-15", "WS-17", "MINT-02")
@pytest.mark.parametrize(
    "fault",
    [
        *(WideMaps(), OthersFirst(), UnknownRequestId(), NestedToken(), LateAnswer(0, 0.05)),
        pytest.param(Fragments(), marks=requirement("WS-11")),
        pytest.param(PingFirst(), marks=requirement("WS-11")),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_an_answer_that_is_odd_but_right_is_a_token(
    cluster: FakeCluster, relay: Relay, fault: ReplicationFault
) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=fault)
    assert relay.deploy(to=[through(relay, peer, socket)])[peer].status == "success"
    assert peer.upload.token == socket.socket.token


@requirement("SEQ-06", "WS-05", "WS-12", "WS-16", "MINT-03")
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Unauthorized("at once"), "Unauthorized"),
        (Unauthorized("first message", "no hdb_nodes entry"), "no hdb_nodes entry"),
        (ErrorAnswer("ClientError: no such user"), "ClientError: no such user"),
        (UpgradeRefused(503), ""),
        (WrongAccept(), ""),
        (Subprotocol("harperdb-replication-v2"), ""),
        (Dropped("upgrade"), ""),
        (Dropped("request"), ""),
        (Dropped("answer"), ""),
        (Dropped("request", End.CLOSE), ""),
        (WithoutToken(), "peer did not return an operation_token"),
        (WithToken(""), "peer did not return an operation_token"),
        (WithToken(5), "peer did not return an operation_token"),
        (WithToken("a\r\nX-Injected: 1"), ""),
        (WithToken("a b"), ""),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value),
)
def test_a_socket_without_a_token_fails_the_mint(
    cluster: FakeCluster, relay: Relay, fault: ReplicationFault, told: str
) -> None:
    peer, other = cluster.peer(), cluster.peer()
    nodes = [
        through(relay, peer, cluster.replication(peer, fault=fault)),
        through(relay, other, cluster.replication(other)),
    ]
    outcome = relay.deploy(to=nodes)
    assert outcome.statuses == ["failed", "success"]
    assert outcome[peer].reason.startswith("token mint failed: ")
    assert told in outcome[peer].reason
    assert peer.requests == []


@requirement("WS-16", "SEQ-06")
def test_a_socket_that_does_not_exist_fails_the_mint(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer)
    node = through(relay, peer, socket)
    socket.stop()
    record = relay.deploy(to=[node])[peer]
    assert record.reason.startswith("token mint failed: ")
    assert peer.requests == []


@requirement("HTTP-03", "WS-15", "WS-17")
@pytest.mark.parametrize(
    "fault",
    [NoAnswer(), UnknownRequestId(then_answer=False), Garbage(), Garbage(b""), UpgradeHangs()],
    ids=lambda fault: type(fault).__name__,
)
def test_a_socket_that_does_not_answer_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, fault: ReplicationFault
) -> None:
    peer = cluster.peer()
    node = through(relay, peer, cluster.replication(peer, fault=fault))
    record = relay.deploy(to=[node], limits=Limits(mint=0.4), deadline=IN_TIME)[peer]
    assert record.reason.startswith("token mint failed: ")
    assert peer.requests == []


@requirement("WS-06")
@pytest.mark.parametrize("flaw", CertificateFlaw, ids=lambda flaw: flaw.value)
def test_a_flawed_certificate_of_a_socket_is_refused(
    cluster: FakeCluster, relay: Relay, flaw: CertificateFlaw
) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=flaw)
    record = relay.deploy(to=[through(relay, peer, socket)])[peer]
    assert record.status == "failed"
    assert socket.sockets == []
    assert peer.requests == []


@requirement("WS-06", "KIT-03")
def test_a_socket_that_knows_nodes_by_their_certificate_lets_the_relay_in(
    cluster: FakeCluster, relay: Relay, client_certificate: Path
) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer, known_nodes=["origin.example"])
    outcome = relay.deploy(
        to=[through(relay, peer, socket)],
        certificate_file=client_certificate,
        key_file=client_certificate,
    )
    assert outcome[peer].status == "success"
    assert socket.socket.let_in_by == "certificate"


@requirement("WS-06")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_handshake_of_a_socket_names_a_host_and_no_address(
    cluster: FakeCluster, relay: Relay, host: str
) -> None:
    peer = cluster.peer(host="127.0.0.1")
    socket = cluster.replication(peer)
    url = socket.url.replace("127.0.0.1", host)
    node = replace(through(relay, peer, socket), replication_url=url)
    assert relay.deploy(to=[node])[peer].status == "success"
    assert socket.socket.connection.server_name == (None if host[0].isdigit() else host)


@requirement("MINT-12")
def test_a_token_of_a_socket_may_have_expired(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer(fault=TokensExpire())
    record = relay.deploy(to=[through(relay, peer, cluster.replication(peer))])[peer]
    assert (record.status_code, record.reason) == (401, "token expired")


@requirement("RTY-03", "WS-14")
def test_another_attempt_opens_another_socket(cluster: FakeCluster, relay: Relay) -> None:
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=Dropped("request"))
    limits = Limits(attempts=2, retry_delay=0.01)
    relay.deploy(to=[through(relay, peer, socket)], limits=limits)
    assert [[m.request_id for m in seen.messages] for seen in socket.sockets] == [[1], [1]]
