"""How a mint over the replication socket fails, and what never opens a socket."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from deploy_relay_kit.harness import (
    Dropped,
    End,
    ErrorAnswer,
    FakeCluster,
    FakePeer,
    FakeReplicationSocket,
    Garbage,
    NoAnswer,
    ReplicationFault,
    Subprotocol,
    Unauthorized,
    UnknownRequestId,
    UpgradeHangs,
    UpgradeRefused,
    WithoutToken,
    WithToken,
    WrongAccept,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT, SOON
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import look_at_neighbour
from deploy_relay_kit.harness.peer.triggers import cancel_deploy
from deploy_relay_kit.harness.replication.faults import Repeated
from deploy_relay_kit.harness.targets import DeployNode, Limits, Outcome

REASON = "token mint failed: "
NO_TOKEN = "peer did not return an operation_token"


def deploy_to_two(
    cluster: FakeCluster, relay: Relay, fault: ReplicationFault
) -> tuple[FakePeer, FakePeer, DeployNode, Outcome]:
    """Deploy to a peer whose socket has this fault, and to a healthy peer, also as a node."""
    peer, other = cluster.peer(), cluster.peer()
    sockets = cluster.replication(peer, fault=fault), cluster.replication(other)
    nodes = [*map(relay.minting_over, sockets, [peer, other])]
    return peer, other, nodes[1], relay.deploy(to=nodes)


def look_at_a_failed_mint(check: Checks, peer: FakePeer, outcome: Outcome, where: str = "") -> None:
    """A failed mint is a failed record that says so, and nothing is uploaded."""
    with check("SEQ-06", f"the beginning of the reason{where}"):
        assert outcome[peer].reason[: len(REASON)] == REASON
    with check("SEQ-06", f"the requests to the operations API{where}"):
        check.need(outcome[peer].status == "failed", "the mint did not fail")
        assert len(peer.requests) == 0


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Unauthorized("at once"), "Unauthorized"),
        (Unauthorized("first message", "no hdb_nodes entry"), "no hdb_nodes entry"),
    ],
    ids=["at once", "first message"],
)
def test_a_socket_closed_with_1008_fails_the_mint_with_the_reason_of_the_close(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: ReplicationFault, text: str
) -> None:
    """A socket that the peer closes with 1008 fails the mint with the peer's reason."""
    peer, other, node, outcome = deploy_to_two(cluster, relay, fault)
    with check("WS-05", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("WS-05", "the reason of the record"):
        check.need(outcome[other].status == "success", "no mint over a socket succeeds")
        assert text in outcome[peer].reason
    look_at_a_failed_mint(check, peer, outcome)
    look_at_neighbour(check, relay, outcome, other, node=node)


def test_an_error_in_the_answer_fails_the_mint_with_its_text(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An answer with an error fails the mint with the text of the error."""
    fault = ErrorAnswer(f"ClientError:  no such user e\u0301 \U0001f680 {'x' * 300}\n ")
    peer, other, node, outcome = deploy_to_two(cluster, relay, fault)
    with check("WS-12", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("WS-12", "the reason of the record"):
        assert fault.error in outcome[peer].reason
    look_at_a_failed_mint(check, peer, outcome)
    look_at_neighbour(check, relay, outcome, other, node=node)


@pytest.mark.parametrize(
    "fault",
    [
        UpgradeRefused(503),
        WrongAccept(),
        Subprotocol("harperdb-replication-v2"),
        Dropped("upgrade"),
        Dropped("request"),
        Dropped("answer"),
        Dropped("request", End.CLOSE),
    ],
    ids=repr,
)
def test_a_socket_that_does_not_open_or_ends_early_fails_the_mint(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: ReplicationFault
) -> None:
    """A socket that is refused, not upgraded, or ended before the answer fails the mint."""
    peer, other, node, outcome = deploy_to_two(cluster, relay, fault)
    with check("WS-16", "the status of the record"):
        assert outcome[peer].status == "failed"
    if isinstance(fault, UpgradeRefused):
        with check("RES-05", "the status code of the record of a refused upgrade"):
            check.need(outcome[peer].status == "failed", "the record is not a failure (WS-16)")
            assert outcome[peer].status_code == fault.status
    look_at_a_failed_mint(check, peer, outcome)
    look_at_neighbour(check, relay, outcome, other, node=node)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_of_a_socket_is_not_followed(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """A redirect of the upgrade fails the mint, and no socket is opened at its target."""
    peer, other = cluster.peer(host="127.0.0.1"), cluster.peer(host="127.0.0.1")
    elsewhere = cluster.replication(other)
    target = elsewhere.url.replace("wss:", "https:")
    socket = cluster.replication(peer, fault=UpgradeRefused(status, target))
    outcome = relay.deploy(to=[relay.minting_over(socket, peer)])
    with check("HTTP-04", "the connections to the target of the redirect"):
        check.need(socket.requests, "no handshake of a WebSocket reached the socket")
        assert len(elsewhere.connections) == 0
    look_at_a_failed_mint(check, peer, outcome)


def test_a_socket_that_does_not_exist_fails_the_mint(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A socket where nothing listens fails the mint."""
    peer, other = cluster.peer(), cluster.peer()
    socket, plain = cluster.replication(peer), cluster.replication(other)
    nodes = [relay.minting_over(socket, peer), relay.minting_over(plain, other)]
    socket.stop()
    outcome = relay.deploy(to=nodes)
    check.need(plain.connections, "the relay opened no socket of another node either")
    with check("WS-16", "the status of the record"):
        assert outcome[peer].status == "failed"
    look_at_a_failed_mint(check, peer, outcome)


@pytest.mark.parametrize("fault", [WithoutToken(), WithToken(""), WithToken(5)], ids=repr)
def test_an_answer_of_a_socket_without_a_token_fails_the_mint(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: ReplicationFault
) -> None:
    """An answer of a socket without a usable token fails the mint with a text that says so."""
    peer, other, node, outcome = deploy_to_two(cluster, relay, fault)
    with check("MINT-03", "the uploads after an answer without a token"):
        assert len(peer.uploads) == 0
    with check("MINT-03", "the reason of the record"):
        check.need(not peer.uploads, "the relay took another value for a token")
        assert outcome[peer].reason.removeprefix(REASON) == NO_TOKEN
    with check("SEQ-06", "the beginning of the reason"):
        check.need(not peer.uploads, "the relay took another value for a token")
        assert outcome[peer].reason[: len(REASON)] == REASON
    look_at_neighbour(check, relay, outcome, other, node=node)


UNFIT = ("a\r\nX-Injected: 1", "a b", " a", "a ", "a\n", "\ta", "é", "a\x7f", "a\0")


def test_a_token_of_a_socket_that_cannot_stand_in_a_header_fails_the_mint(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A token that cannot stand in a header fails the mint, and no header is made of it."""
    peers, other = {token: cluster.peer() for token in UNFIT}, cluster.peer()
    sockets = [cluster.replication(it, fault=WithToken(token)) for token, it in peers.items()]
    sockets.append(cluster.replication(other))
    nodes = [*map(relay.minting_over, sockets, [*peers.values(), other])]
    outcome = relay.deploy(to=nodes)
    for token, peer in peers.items():
        with check("BUG-35", f"the status of the record after the token {token!a}"):
            assert outcome[peer].status == "failed"
        with check("BUG-35", f"the requests to the operations API after the token {token!a}"):
            assert len(peer.requests) == 0
        with check("SEQ-06", f"the beginning of the reason after the token {token!a}"):
            check.need(not peer.requests, "the relay used the token")
            assert outcome[peer].reason[: len(REASON)] == REASON
    look_at_neighbour(check, relay, outcome, other, node=nodes[-1])


NO_ANSWERS = {
    "no answer": NoAnswer(),
    "an answer to another request": UnknownRequestId(then_answer=False),
    "messages that are no msgpack": Garbage(),
    "messages without a byte": Garbage(b""),
    "no answer to the upgrade": UpgradeHangs(),
    "pings without end": Repeated(b"\x89\0"),
    "pongs without end": Repeated(b"\x8a\0"),
    "other messages without end": Repeated(b"\x82\x03\x92\x01\xc0"),
}


def test_a_socket_without_an_answer_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A mint over a socket without an answer ends at the limit of a mint, with a failed record."""
    peers = {what: cluster.peer() for what in NO_ANSWERS}
    nodes = [
        relay.minting_over(cluster.replication(peer, fault=NO_ANSWERS[what]), peer)
        for what, peer in peers.items()
    ]
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for a mint"):
        outcome = relay.deploy(to=nodes, limits=Limits(mint=LIMIT), deadline=IN_TIME)
    with check("WS-17", "the uploads with a token of another request"):
        assert len(peers["an answer to another request"].uploads) == 0
    for what, peer in peers.items():
        look_at_a_failed_mint(check, peer, outcome, f" after {what}")


def test_an_unusable_url_opens_no_socket(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """No token is minted over the socket of a node whose operations API has an unusable URL."""
    peer, other = cluster.peer(), cluster.peer()
    socket, plain = cluster.replication(peer), cluster.replication(other)
    node = relay.minting_over(socket, peer, url="https://127.0.0.1:port/")
    outcome = relay.deploy(to=[node, relay.minting_over(plain, other)])
    connections = len(socket.connections)
    if not connections:  # else no control is needed
        relay.deploy(to=[relay.minting_over(socket, peer), relay.minting_over(plain, other)])
    check.need(socket.connections, "the relay opens no socket of a node with a right URL either")
    with check("SEQ-07", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("SEQ-07", "the connections to the socket"):
        assert connections == 0


def test_a_missing_payload_opens_no_socket(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """No socket is opened for a payload that is missing."""
    relay.need("staged_payload")
    peer = cluster.peer()
    socket = cluster.replication(peer)
    node = relay.minting_over(socket, peer)
    relay.deploy(to=[node])
    before = len(socket.connections)
    check.need(before, "the relay opened no socket for a payload that exists either")
    outcome = relay.deploy(to=[node], payload=tmp_path / "never-staged.tar.gz")
    with check("SEQ-05", "the status of the record"):
        assert outcome[peer].status == "failed"
    with check("SEQ-05", "the connections to the socket"):
        assert len(socket.connections) - before == 0


def open_connections(socket: FakeReplicationSocket) -> int:
    return sum(seen.closed_by is None for seen in socket.live_connections)


def test_a_cancelled_deploy_closes_its_sockets(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A cancelled deploy closes its sockets at once."""

    def deploy(after: float) -> FakeReplicationSocket:
        peer = cluster.peer()
        socket = cluster.replication(peer, fault=NoAnswer())
        node = relay.minting_over(socket, peer)
        with check("KIT-01", "the end of the cancelled deploy"):
            relay.deploy(to=[node], cancel_after=after, deadline=after + IN_TIME)
        return socket

    socket = cancel_deploy(deploy, lambda socket: bool(socket.live_sockets))
    with contextlib.suppress(TimeoutError):
        socket.wait_until(lambda socket: not open_connections(socket), SOON)
    with check("KIT-01", "the connections that a cancelled deploy leaves open"):
        assert open_connections(socket) == 0
