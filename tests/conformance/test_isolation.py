"""Isolation by oracle: what becomes of a peer follows from its own fault, whoever is beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.answers import Answer, ContentLengthOff, UnfinishedChunks
from harness.certs import CertificateFlaw
from harness.faults import (
    AnswerEarly,
    CloseInHandshake,
    CloseWithoutAnswer,
    MintDropped,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    TokensExpire,
    mint_refused,
    mint_without_token,
)

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.faults import Fault
    from harness.payloads import Payload
    from harness.peer import FakePeer
    from harness.targets import Record
    from harness.targets.relay import Relay

requirement = pytest.mark.requirement


@dataclass(frozen=True)
class Fate:
    """A fault, and all that a record may tell of it; one that succeeds has had the whole payload.

    Attributes:
        fault: what the peer shows.
        status: of the record.
        code: `statusCode` of the record.
        reason: what its reason begins with.
        sees: whether an upload reaches the peer.

    """

    fault: Fault | None
    status: str = "failed"
    code: int | None = None
    reason: str = ""
    sees: bool = True

    def is_that_of(self, record: Record, peer: FakePeer, payload: Payload) -> bool:
        if record.status == "success":
            file = peer.upload.file
            whole = file is not None and file.sha256 == payload.sha256 and peer.upload.complete
            return self.status == "success" and whole
        told = record.status_code == self.code and record.reason.startswith(self.reason)
        return self.status == record.status and told and bool(peer.uploads) == self.sees


FATES = [
    Fate(None, "success"),
    Fate(Answer(json={"message": "done"}), "success"),
    Fate(Refuse(), sees=False),
    Fate(ResetAtAccept(), sees=False),
    Fate(CloseInHandshake(), sees=False),
    Fate(CertificateFlaw.EXPIRED, sees=False),
    Fate(CertificateFlaw.WRONG_AUTHORITY, sees=False),
    Fate(mint_refused(), code=401, reason="token mint failed: ", sees=False),
    Fate(mint_without_token(), reason="token mint failed: ", sees=False),
    Fate(MintDropped(), reason="token mint failed: ", sees=False),
    Fate(TokensExpire(), code=401, reason="token expired"),
    Fate(ResetAfter(0)),
    Fate(ResetAfter(70_000)),
    Fate(CloseWithoutAnswer()),
    Fate(Answer.error(500, "boom"), code=500, reason="boom"),
    Fate(AnswerEarly(Answer.error(403, "no")), code=403, reason="no"),
    Fate(AnswerEarly(Answer.error(403, "no"), then="stop"), code=403, reason="no"),
    Fate(UnfinishedChunks(Answer(json={}))),
    Fate(ContentLengthOff(Answer(json={}), by=10)),
    Fate(Answer(302, headers=(("Location", "https://127.0.0.1:1/"),)), code=302),
    Fate(CertificateFlaw.WRONG_HOST, sees=False),
    Fate(AnswerEarly(Answer.error(401, "no"), "head"), code=401, reason="no"),
    Fate(AnswerEarly(Answer.error(400, "no"), then="close"), code=400, reason="no"),
]


def drawn(first: int) -> list[Fate]:
    """Four of the fates; over all `first`, each stands beside many others, at every place."""
    steps = (0, 1, 5, 12)
    fates = [FATES[(first + step) % len(FATES)] for step in steps]
    return fates[first % 4 :] + fates[: first % 4]


@requirement("AGG-01", "AGG-02", "AGG-03", "AGG-04", "SEQ-03", "RES-10")
@pytest.mark.parametrize("first", range(len(FATES)))
def test_the_fate_of_a_peer_is_its_own(
    cluster: FakeCluster, relay: Relay, payload: Payload, first: int
) -> None:
    fates = drawn(first)
    peers = [cluster.peer(fault=fate.fault) for fate in fates]
    outcome = relay.deploy(to=peers)
    assert outcome.nodes == [peer.name for peer in peers]
    for fate, peer in zip(fates, peers, strict=True):
        assert fate.is_that_of(outcome[peer], peer, payload), (fate, outcome[peer])
