"""How a replication socket ends: close frames of the peer and of the relay."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from typing import Any

import pytest

from deploy_relay_kit.harness import Answer, FakeCluster, in_turn
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import THRICE
from deploy_relay_kit.harness.judge.cases.leaks.search import leaked, reported_by
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.replication.faults import ErrorAnswer, RawFrames
from deploy_relay_kit.harness.replication.frames import response
from deploy_relay_kit.harness.replication.websocket import BINARY, CLOSE, frame
from deploy_relay_kit.harness.targets import Limits

REFUSED = struct.pack("!H", 1008)


def close(code: int | None, reason: str = "") -> RawFrames:
    data = b"" if code is None else struct.pack("!H", code) + reason.encode()
    return RawFrames(lambda *_: frame(data, CLOSE))


ERRORS = {
    "a text": "no role",
    "an object": {"message": "no role"},
    "a list": ["no role"],
    "true": True,
}


def test_an_answer_with_an_error_and_a_token_is_a_failed_mint(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The token of an answer that has an error, too, is not used."""
    peers = {what: cluster.peer() for what in ERRORS}
    nodes = {}
    for what, peer in peers.items():

        def answer(id_: int, tokens: dict[str, str], error: object = ERRORS[what]) -> bytes:
            return frame(response(id_, {**tokens, "error": error}), BINARY)

        nodes[what] = relay.minting_over(cluster.replication(peer, fault=RawFrames(answer)), peer)
    outcome = relay.deploy(to=nodes.values())
    for what, peer in peers.items():
        with check("WS-12", f"the status of the record, with an error that is {what} and a token"):
            assert outcome[peer].status == "failed"
        with check("WS-12", f"the uploads after an answer with an error that is {what}"):
            assert len(peer.uploads) == 0


CLOSES = {
    "1000": close(1000),
    "1001 and a reason": close(1001, "going away"),
    "no code": close(None),
    "1008 and a reason": close(1008, "größer 🚀"),
    "1011": close(1011),
    "1013": close(1013, "r" * 123),
    "4000": close(4000, "of an application"),
}


def test_a_close_before_the_answer_is_a_failed_mint_whatever_its_code_is(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A socket that the peer closes before its answer, with any code or none, fails the mint."""
    peers = [cluster.peer() for _ in [None, *CLOSES]]
    faults = [None, *CLOSES.values()]
    given = zip(peers, faults, strict=True)
    sockets = [cluster.replication(peer, fault=fault) for peer, fault in given]
    outcome = relay.deploy(to=map(relay.minting_over, sockets, peers))
    check.need(peers[0].uploads, "the relay uses no plain answer of a socket either")
    for name, peer in zip(CLOSES, peers[1:], strict=True):
        with check("WS-16", f"the status of the record after a close with {name}"):
            assert outcome[peer].status == "failed"
        with check("SEQ-06", f"the beginning of the reason after a close with {name}"):
            check.need(outcome[peer].status == "failed", "the record is not a failure")
            assert outcome[peer].reason[:19] == "token mint failed: "
        with check("SEQ-06", f"the requests to the operations API after a close with {name}"):
            assert len(peer.requests) == 0


@pytest.mark.parametrize(
    ("code", "reason", "sockets", "requirement"),
    [
        *((1001, "no", 2, "RTY-02"), (None, "", 2, "RTY-02"), (1011, "no", 2, "RTY-02")),
        *((1000, "", 2, "RTY-02"), (1008, "no", 1, "RTY-04"), (1008, "", 1, "RTY-04")),
    ],
)
def test_a_close_before_the_answer_is_retried_unless_it_refuses_the_relay(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    *,
    code: int | None,
    reason: str,
    sockets: int,
    requirement: str,
) -> None:
    """A socket that closes before its answer is tried again, and one that refuses is not."""
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=close(code, reason))
    limits = Limits(attempts=2, retry_delay=0.01)
    relay.deploy(to=[relay.minting_over(socket, peer)], limits=limits)
    with check(requirement, f"the sockets after a close with {code or 'no code'}"):
        check.need(socket.sockets, "no socket was opened")
        assert len(socket.sockets) == sockets


OTHER_CODES = (1002, 1003, 1007, 1009, 1010, 1012, 1013, 1014, 3000, 3999, 4000, 4999)


def test_a_close_before_the_answer_is_retried_with_every_other_code(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A socket that closes before its answer is tried again, also with a rare code."""
    peers = {code: cluster.peer() for code in OTHER_CODES}
    sockets = {code: cluster.replication(it, fault=close(code)) for code, it in peers.items()}
    nodes = [relay.minting_over(sockets[code], peers[code]) for code in OTHER_CODES]
    relay.deploy(to=nodes, limits=Limits(attempts=2, retry_delay=0.01))
    for code, socket in sockets.items():
        with check("RTY-02", f"the sockets after a close with {code}"):
            check.need(socket.sockets, "no socket was opened")
            assert len(socket.sockets) == 2


@pytest.mark.parametrize("answer", [None, ErrorAnswer()], ids=["a-token", "an-error"])
def test_a_socket_is_closed_with_a_close_frame(
    cluster: FakeCluster, relay: Relay, check: Checks, answer: ErrorAnswer | None
) -> None:
    """The relay closes the socket with a close frame with 1000, or without a code (1005)."""
    peer = cluster.peer()
    socket = cluster.replication(peer, fault=answer)
    relay.deploy(to=[relay.minting_over(socket, peer)])
    check.need(socket.socket.operations, "the socket answered no mint")
    closed = socket.socket.close_received
    with check("WS-14", "the close frame of the relay"):
        assert closed is not None, "expected one with 1000 or without a code, got none"
    with check("WS-14", "the code of the close frame of the relay"):
        check.need(closed, "the relay sent no close frame")
        assert getattr(closed, "code", None) in (1000, 1005)


def test_a_token_of_an_earlier_socket_is_in_no_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The token of the first attempt is in no record if the socket of the second one quotes it."""
    ends: dict[str, Callable[[str, Any], bytes]] = {
        "an error": lambda text, id_: frame(response(id_, {"error": text}), BINARY),
        "the reason of a close": lambda text, _: frame(
            struct.pack("!H", 1008) + text.encode(), CLOSE
        ),
    }
    nodes = {}
    for what, end in ends.items():
        peer = cluster.peer(fault=in_turn(Answer(503), None))
        token = f"first-token-of-{peer.name}-{secrets.token_hex(8)}"
        peer.tokens.accept(token)
        answers = iter([None, end])

        def answer(id_: Any, _: Any, token: str = token, answers: Any = answers) -> bytes:
            then = next(answers, None)
            if then is not None:
                return bytes(then(f"not good: {token}", id_))
            return frame(response(id_, {"operation_token": token}), BINARY)

        nodes[what] = relay.minting_over(cluster.replication(peer, fault=RawFrames(answer)), peer)
    outcome = relay.deploy(to=nodes.values(), limits=THRICE)
    for what, peer in zip(ends, cluster.peers, strict=True):
        with check("BUG-41", f"the record after a second socket that quotes a token in {what}"):
            check.need(peer.uploads, f"{peer.name} saw no upload, and its socket quoted nothing")
            found = leaked(peer, reported_by(outcome))
            assert not found, f"expected no password and no token, got {found}"
