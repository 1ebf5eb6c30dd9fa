"""Peers whose faults make a relay write of its requests, in errors and in logs."""

from attrs import frozen

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import Answer, End, Script
from deploy_relay_kit.harness.faults.kinds import (
    AnswerEarly,
    CertificateFlaw,
    CloseWithoutAnswer,
    Fault,
    MintAnswer,
    MintDropped,
    MintFault,
    MintForAnotherUser,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    TokensExpire,
    mint_refused,
)
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.peer import FakePeer


@frozen
class Malformed(Answer):
    """An answer that is no HTTP: libraries quote in their errors what they cannot read."""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield b"HTTP/x.y OK nothing to see\r\n\r\n"
        yield End.CLOSE


TROUBLED: list[Fault | None] = [
    None,
    Answer.error(500, "boom"),
    TokensExpire(),
    MintForAnotherUser(),
    mint_refused(),
    ResetAfter(70_000),
    CloseWithoutAnswer(),
    AnswerEarly(Answer.error(403, "no")),
    Refuse(),
    ResetAtAccept(),
    CertificateFlaw.EXPIRED,
    MintDropped(),
    MintAnswer(Answer(json={"operation_token": "a b", "refresh_token": ""})),
    MintAnswer(Answer.redirect("https://127.0.0.1:1/")),
    Answer.redirect("https://127.0.0.1:1/"),
    Malformed(),
]
"""All at once, without the fault that many relays wait for without end: a truncated answer."""


def troubled(cluster: FakeCluster, relay: Relay) -> list[FakePeer]:
    """A peer for each fault; without faults of a mint that the relay does not make."""
    mints = "mint.operations" in relay.target.capabilities
    faults = [fault for fault in TROUBLED if mints or not isinstance(fault, MintFault)]
    return [cluster.peer(fault=fault) for fault in faults]
