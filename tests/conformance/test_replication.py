"""Minting over the replication socket of a node: where it is, the request, the answer, the end."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.harness import (
    Answer,
    Dropped,
    FakeCluster,
    FakePeer,
    FakeReplicationSocket,
    Fragments,
    Held,
    LateAnswer,
    NestedToken,
    OthersFirst,
    PingFirst,
    ReplicationFault,
    SocketWitness,
    TokensExpire,
    UnknownRequestId,
    WideMaps,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import AN_HOUR, IN_TIME
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import look_for_refused_token, tokens_of
from deploy_relay_kit.harness.peer.tokens import lifetime
from deploy_relay_kit.harness.replication.witness import MessageWitness
from deploy_relay_kit.harness.targets import Limits, LocalSettings
from deploy_relay_kit.harness.witness.moments import MomentKind

REQUEST = 136


def assert_used(peer: FakePeer, token: str | None) -> None:
    """The uploads of a peer have this token, which the socket put into its answer."""
    used = tokens_of(peer)
    shown = f"{len(used)}, {used.count(token or '')} of them with this token" if used else "none"
    assert set(used) == {token}, f"expected uploads with the token of the answer, got {shown}"


def sent_on(seen: SocketWitness) -> list[MessageWitness]:
    """The messages of the relay."""
    return [message for message in seen.messages if message.sender == "client"]


# -- where the socket is -------------------------------------------------------------------------


def test_a_replication_url_without_a_path_means_the_root(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The socket is at the replication URL, with the path / if the URL has none."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    url = socket.url.rstrip("/")
    relay.deploy(to=[relay.minting_over(socket, peer, replication_url=url)])
    with check("WS-01", "the targets of the requests at the replication URL"):
        assert {request.target for request in socket.requests} == {"/"}


def test_the_port_in_a_name_is_the_port_of_the_socket(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Without a replication URL, host and port of the socket are those of the node's name."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    name = urlsplit(socket.url).netloc
    relay.deploy(to=[relay.minting_over(socket, peer, name=name, replication_url=None)])
    with check("WS-02", "the requests at the host and port of the node's name"):
        assert len(socket.requests) >= 1


def test_without_a_url_the_socket_is_at_the_replication_port_of_the_origin(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Without a replication URL and a port in the name, the port is the origin's secure one."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    where = urlsplit(socket.url)
    node = relay.minting_over(socket, peer, name=where.hostname, replication_url=None)
    settings = LocalSettings(secure_replication_port=where.port, insecure_replication_port=9)
    relay.deploy(to=[node], local=settings)
    with check("WS-01", "the targets of the requests at the origin's secure replication port"):
        assert {request.target for request in socket.requests} == {"/"}
    other = cluster.peer()
    plain = cluster.replication(other, tls=False)
    where = urlsplit(plain.url)
    node = relay.minting_over(plain, other, name=where.hostname, replication_url=None)
    settings = LocalSettings(secure_port=9, insecure_replication_port=where.port)
    relay.deploy(to=[node], local=settings)
    with check("WS-01", "the targets of the requests at the only replication port, without TLS"):
        assert {request.target for request in plain.requests} == {"/"}


def test_the_handshake_requests_the_subprotocol(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The WebSocket handshake requests the subprotocol of replication."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    relay.deploy(to=[relay.minting_over(socket, peer)])
    with check("WS-03", "Sec-WebSocket-Protocol"):
        check.need(socket.requests, "no handshake of a WebSocket reached the socket")
        offered = [request.header("sec-websocket-protocol") for request in socket.requests]
        assert set(offered) == {"harperdb-replication-v1"}


# -- the request ---------------------------------------------------------------------------------


def test_a_mint_is_one_request_and_one_answer(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A mint is one request for a token, without waiting for a greeting, and one answer."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    relay.deploy(to=[relay.minting_over(socket, peer)])
    with check("WS-14", "the side that closes the socket"):
        check.need(socket.socket.token, "the socket answered no mint")
        assert socket.socket.closed_by == "client"
    seen = socket.socket
    sent = sent_on(seen)
    with check("WS-13", "the messages of the relay"):
        check.need(not seen.broken, f"the peer closed the socket: {seen.broken}")
        assert sent, "expected a request, got none before the end of the socket"
    is_one_request = [message.code for message in sent] == [REQUEST]
    with check("WS-08", "the messages of the relay"):
        check.need(sent or seen.broken, "the relay sent no message")
        shown = ", ".join(map(str, sent)) or seen.broken
        assert is_one_request, f"expected one message with the code {REQUEST}, got {shown}"
    check.need(is_one_request, "the relay did not send one request (WS-08)")
    request = sent[0].body
    with check("WS-10", "the value after the code 136"):
        assert isinstance(request, dict), f"expected a map, got {sent[0]}"
    check.need(isinstance(request, dict), "the request is not a map")
    with check("WS-10", "the requestId of the request"):
        assert request.get("requestId") == 1
    with check("MINT-01", "the operation of the request"):
        assert request.get("operation") == "create_authentication_tokens"
    with check("MINT-01", "the members of the request"):
        assert "role" not in request
    with check("WS-11", "the tokens of the uploads"):
        check.need(seen.token, "the socket answered no mint")
        assert_used(peer, seen.token)
    with check("SEQ-04", "the beginning of the upload"):
        early = sent[0].at - peer.upload.times["head"]
        assert early <= 0, f"expected after the request for its token, got {early:.3f} s before it"
    with check("MINT-08", "the tokens that the relay mints for one attempt"):
        assert len(seen.tokens) + len(peer.mints) <= 1


def test_a_mint_over_a_socket_asks_for_a_short_lifetime(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A mint over the replication socket asks for a lifetime of an hour at most."""
    peer = cluster.peer()
    socket = cluster.replication(peer)
    relay.deploy(to=[relay.minting_over(socket, peer)])
    operations = socket.socket.operations
    check.need(operations, "the socket saw no request")
    with check("MINT-07", "expires_in of the request"):
        given = operations[0].get("expires_in")
        seconds = lifetime(given)
        assert seconds is not None, f"expected a lifetime, got {given or 'nothing'}"
        assert 0 < seconds <= AN_HOUR, f"expected at most {AN_HOUR} s, got {seconds:g} s"


def test_each_peer_mints_on_its_own_socket_and_no_payload_is_sent_there(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """Each peer's token is minted on its own socket, and the payload is sent on no socket."""
    peers = [cluster.peer() for _ in range(3)]
    sockets = [cluster.replication(peer) for peer in peers]
    relay.deploy(to=map(relay.minting_over, sockets, peers))
    for peer, socket in zip(peers, sockets, strict=True):
        seen = socket.socket
        with check("SEQ-08", f"the token of the upload to {peer.name}"):
            check.need(seen.token, f"the socket of {peer.name} answered no mint")
            assert tokens_of(peer)[:1] == [seen.token]
        with check("BUG-39", f"the bytes of the messages to the socket of {peer.name}"):
            check.need(sent_on(seen), f"the socket of {peer.name} saw no message")
            size = sum(message.size for message in sent_on(seen))
            assert size < 1_000, f"expected fewer than 1,000 bytes, got {size:,}"


# -- the answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requirement", "fault"),
    [
        ("WS-09", WideMaps()),
        ("WS-11", LateAnswer(0, 0.05)),
        ("WS-11", Fragments()),
        ("WS-11", PingFirst()),
        ("WS-15", OthersFirst()),
        ("WS-17", UnknownRequestId()),
        ("MINT-02", NestedToken()),
    ],
    ids=lambda it: "" if isinstance(it, str) else type(it).__name__,
)
def test_an_unusual_right_answer_is_read(
    cluster: FakeCluster, relay: Relay, check: Checks, requirement: str, fault: ReplicationFault
) -> None:
    """The relay uses the token of the answer in any lawful form, and of no other message."""
    peer, plain = cluster.peer(), cluster.peer()
    socket, other = cluster.replication(peer, fault=fault), cluster.replication(plain)
    relay.deploy(to=[relay.minting_over(socket, peer), relay.minting_over(other, plain)])
    with check(requirement, "the tokens of the uploads"):
        check.need(plain.uploads, "the relay uses no plain answer of a socket either")
        check.need(socket.socket.token, "the socket answered no mint")
        assert_used(peer, socket.socket.token)


def test_a_ping_is_answered(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """The relay answers a ping on the socket."""
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=PingFirst())
    relay.deploy(to=[relay.minting_over(socket, peer)])
    seen = [moment.kind for moment in socket.socket.connection.moments]
    check.need(MomentKind.PING_SENT in seen, "the socket sent no ping")
    with check("WS-19", "the pongs of the relay"):
        assert seen.count(MomentKind.PONG_RECEIVED) >= 1


def closed_at(seen: SocketWitness) -> float:
    """When the relay began to close a socket; never, if it did not."""
    if seen.close_received is not None:
        return seen.close_received.at
    ended = seen.connection.closed_at if seen.connection.closed_by == "client" else None
    return ended or float("inf")


def is_closed(socket: FakeReplicationSocket) -> bool:
    return bool(socket.live_sockets) and closed_at(socket.live_sockets[0]) < float("inf")


def test_a_socket_is_closed_after_its_answer_and_not_after_the_upload(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The relay closes the socket while the upload is in progress.

    An open one stays as long as the upload takes, and a peer holds one for each deploy.
    """
    peer = cluster.peer()
    socket = cluster.replication(peer)

    def wait() -> None:
        with contextlib.suppress(TimeoutError):
            socket.wait_until(is_closed, IN_TIME)

    peer.fault = Held(Answer(json={"message": "done"}), until=wait)
    relay.deploy(to=[relay.minting_over(socket, peer)])
    with check("WS-14", "the end of the socket"):
        check.need("answer" in peer.upload.times, "the upload did not get as far as its answer")
        is_early = closed_at(socket.socket) <= peer.upload.times["answer"]
        assert is_early, "expected before the answer to the upload, got later or never"


def test_a_token_of_a_socket_may_be_expired(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An expired token of a socket is a failed record with 401 and the peer's words."""
    peer = cluster.peer(fault=TokensExpire())
    socket = cluster.replication(peer)
    record = relay.deploy(to=[relay.minting_over(socket, peer)])[peer]
    check.need(peer.uploads, "the relay sent no upload with the expired token")
    look_for_refused_token(check, cluster, relay, record, "token expired", peer=peer)


def test_another_attempt_opens_another_socket(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A second attempt opens a second socket, whose request has the requestId 1 again."""
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=Dropped("request"))
    limits = Limits(attempts=2, retry_delay=0.01)
    relay.deploy(to=[relay.minting_over(socket, peer)], limits=limits)
    sockets = socket.sockets
    check.need(sockets, "no socket was opened")
    with check("RTY-02", "the sockets after a connection was lost before its answer"):
        assert len(sockets) >= 2
    with check("RTY-04", "the sockets of two allowed attempts"):
        assert len(sockets) <= 2
    for seen in sockets[1:]:
        with check("RTY-03", "the requests for a token of the second attempt"):
            assert len(seen.operations) == 1
        with check("WS-10", "the requestId of the second attempt"):
            check.need(seen.operations, "the second socket saw no request")
            assert seen.operations[0].get("requestId") == 1
