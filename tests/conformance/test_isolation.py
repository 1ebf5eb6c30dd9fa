"""Isolation by oracle: what becomes of a peer follows from its own fault, whoever is beside it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from attrs import evolve

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, ContentLengthOff, UnfinishedChunks
from harness.faults.kinds import (
    AnswerEarly,
    CertificateFlaw,
    CloseInHandshake,
    CloseWithoutAnswer,
    Fault,
    MintDropped,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    TokensExpire,
    mint_refused,
    mint_without_token,
)
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload
from harness.peer.peer import FakePeer
from harness.targets import Record

requirement = pytest.mark.requirement


WHOLE = "success, with the whole payload at the peer"


@dataclass(frozen=True)
class Fate:
    """A fault, and all that a record may tell of it; one that succeeds has had the whole payload.

    Attributes:
        name: what the peer does, in words.
        fault: what the peer shows.
        status: of the record.
        code: `statusCode` of the record.
        reason: what its reason begins with.
        sees: whether an upload reaches the peer.

    """

    name: str
    fault: Fault | None
    status: str = "failed"
    code: int | None = None
    reason: str = ""
    sees: bool = True

    @property
    def expected(self) -> str:
        """What is to come of it, in words."""
        if self.status == "success":
            return WHOLE
        begin = f"a reason that begins with {self.reason!r}" if self.reason else "some reason"
        return f"{self.status}, {_coded(self.code)}, {begin}, {_seen(self.sees)}"

    def is_that_of(self, record: Record, peer: FakePeer, payload: Payload) -> bool:
        if record.status == "success":
            return self.expected == what_came(record, peer, payload)
        told = record.status_code == self.code and record.reason.startswith(self.reason)
        return self.status == record.status and told and bool(peer.uploads) == self.sees


def what_came(record: Record, peer: FakePeer, payload: Payload) -> str:
    """What became of a peer, in words."""
    if record.status == "success":
        files = [upload.file for upload in peer.uploads if upload.complete]
        whole = [file and file.sha256 for file in files] == [payload.sha256]
        return WHOLE if whole else f"success, with {len(files)} complete uploads, not the payload"
    seen = _seen(bool(peer.uploads))
    return f"{record.status}, {_coded(record.status_code)}, the reason {record.reason!r}, {seen}"


def _coded(code: object) -> str:
    return "no statusCode" if code is None else f"statusCode {code}"


def _seen(upload: object) -> str:
    return "an upload at the peer" if upload else "no upload at the peer"


EARLY = AnswerEarly(Answer.error(403, "no"))
ELSEWHERE = Answer(302, headers=(("Location", "https://127.0.0.1:1/"),))

FATES = [
    Fate("healthy", None, "success"),
    Fate("own-answer", Answer(json={"message": "done"}), "success"),
    Fate("refuses", Refuse(), sees=False),
    Fate("resets-at-accept", ResetAtAccept(), sees=False),
    Fate("closes-in-handshake", CloseInHandshake(), sees=False),
    Fate("certificate-expired", CertificateFlaw.EXPIRED, sees=False),
    Fate("certificate-of-another-authority", CertificateFlaw.WRONG_AUTHORITY, sees=False),
    Fate("mint-401", mint_refused(), code=401, reason="token mint failed: ", sees=False),
    Fate("mint-without-token", mint_without_token(), reason="token mint failed: ", sees=False),
    Fate("mint-dropped", MintDropped(), reason="token mint failed: ", sees=False),
    Fate("token-expired", TokensExpire(), code=401, reason="token expired"),
    Fate("resets-at-body", ResetAfter(0)),
    Fate("resets-amid-body", ResetAfter(70_000)),
    Fate("closes-without-answer", CloseWithoutAnswer()),
    Fate("500", Answer.error(500, "boom"), code=500, reason="boom"),
    Fate("403-early", EARLY, code=403, reason="no"),
    Fate("403-early-reads-no-more", evolve(EARLY, then="stop"), code=403, reason="no"),
    Fate("chunks-without-end", UnfinishedChunks(Answer(json={}))),
    Fate("answer-cut-short", ContentLengthOff(Answer(json={}), by=10)),
    Fate("302", ELSEWHERE, code=302),
    Fate("certificate-of-another-host", CertificateFlaw.WRONG_HOST, sees=False),
    Fate("401-at-head", AnswerEarly(Answer.error(401, "no"), "head"), code=401, reason="no"),
    Fate(
        "400-early-and-closes",
        AnswerEarly(Answer.error(400, "no"), then="close"),
        code=400,
        reason="no",
    ),
]


def drawn(first: int) -> list[Fate]:
    """Four of the fates; over all `first`, each stands beside many others, at every place."""
    steps = (0, 1, 5, 12)
    fates = [FATES[(first + step) % len(FATES)] for step in steps]
    return fates[first % 4 :] + fates[: first % 4]


def names_of(first: int) -> str:
    return "+".join(fate.name for fate in drawn(first))


@requirement("AGG-01", "AGG-02", "AGG-03", "AGG-04", "SEQ-03", "RES-10")
@pytest.mark.parametrize("first", range(len(FATES)), ids=names_of)
def test_the_fate_of_a_peer_is_its_own(
    cluster: FakeCluster, relay: Relay, payload: Payload, first: int
) -> None:
    fates = drawn(first)
    peers = [cluster.peer(fault=fate.fault) for fate in fates]
    outcome = relay.deploy(to=peers)
    assert outcome.nodes == [peer.name for peer in peers]
    wrong = [
        f"{peer.name} ({fate.name}): expected {fate.expected}; "
        f"came {what_came(outcome[peer], peer, payload)}"
        for fate, peer in zip(fates, peers, strict=True)
        if not fate.is_that_of(outcome[peer], peer, payload)
    ]
    assert not wrong, "\n".join(wrong)
