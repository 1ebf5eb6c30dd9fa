"""Isolation: four peers with different faults, and each as if it were the only one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from attrs import evolve

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CertificateFlaw,
    CloseInHandshake,
    CloseWithoutAnswer,
    ContentLengthOff,
    FakeCluster,
    Fault,
    MintDropped,
    Payload,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    TokensExpire,
    UnfinishedChunks,
    mint_refused,
    mint_without_token,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import whole_uploads
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import Record


@dataclass(frozen=True)
class Row:
    """A fault, and the record that it causes.

    Attributes:
        name: what the peer does, in words.
        fault: what the peer shows.
        status: of the record; a success has the whole payload.
        code: `statusCode` of the record.
        reason: the beginning of its reason.
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
        """The record and the uploads of a conforming relay, in words."""
        if self.status == "success":
            return in_words(whole=True)
        return in_words(self.code, self.reason, sees=self.sees)

    def actual(self, record: Record, peer: FakePeer, payload: Payload) -> str:
        """The record and the uploads, in the same words."""
        if record.status == "success":
            files = [upload.file for upload in whole_uploads(peer)]
            return in_words(whole=[it and it.sha256 for it in files] == [payload.sha256])
        begin = record.reason[: len(self.reason)]
        return in_words(record.status_code, begin, sees=bool(peer.uploads))


def in_words(
    code: object = None, reason: str = "", *, sees: bool = True, whole: bool | None = None
) -> str:
    if whole is not None:
        return f"success, {'with' if whole else 'without'} the whole payload at the peer"
    coded = "no statusCode" if code is None else f"statusCode {code}"
    begin = f"a reason that begins with {reason}" if reason else "a reason"
    return f"failed, {coded}, {begin}, {'an' if sees else 'no'} upload at the peer"


EARLY = AnswerEarly(Answer.error(403, "no"))
ELSEWHERE = Answer(302, headers=(("Location", "https://127.0.0.1:1/"),))

ROWS = [
    Row("healthy", None, "success"),
    Row("own-answer", Answer(json={"message": "done"}), "success"),
    Row("refuses", Refuse(), sees=False),
    Row("resets-at-accept", ResetAtAccept(), sees=False),
    Row("closes-in-handshake", CloseInHandshake(), sees=False),
    Row("certificate-expired", CertificateFlaw.EXPIRED, sees=False),
    Row("certificate-of-another-authority", CertificateFlaw.WRONG_AUTHORITY, sees=False),
    Row("mint-401", mint_refused(), code=401, reason="token mint failed: ", sees=False),
    Row("mint-without-token", mint_without_token(), reason="token mint failed: ", sees=False),
    Row("mint-dropped", MintDropped(), reason="token mint failed: ", sees=False),
    Row("token-expired", TokensExpire(), code=401, reason="token expired"),
    Row("resets-at-body", ResetAfter(0)),
    Row("resets-amid-body", ResetAfter(70_000)),
    Row("closes-without-answer", CloseWithoutAnswer()),
    Row("500", Answer.error(500, "boom"), code=500, reason="boom"),
    Row("403-early", EARLY, code=403, reason="no"),
    Row("403-early-reads-no-more", evolve(EARLY, then="stop"), code=403, reason="no"),
    Row("chunks-without-end", UnfinishedChunks(Answer(json={}))),
    Row("answer-cut-short", ContentLengthOff(Answer(json={}), by=10)),
    Row("302", ELSEWHERE, code=302),
    Row("certificate-of-another-host", CertificateFlaw.WRONG_HOST, sees=False),
    Row("401-at-head", AnswerEarly(Answer.error(401, "no"), "head"), code=401, reason="no"),
    Row(
        "400-early-and-closes",
        AnswerEarly(Answer.error(400, "no"), then="close"),
        code=400,
        reason="no",
    ),
]


def drawn(first: int) -> list[Row]:
    """Four rows; over all `first`, each row stands beside many others, at every place."""
    steps = (0, 1, 5, 12)
    rows = [ROWS[(first + step) % len(ROWS)] for step in steps]
    return rows[first % 4 :] + rows[: first % 4]


def names_of(first: int) -> str:
    return "+".join(row.name for row in drawn(first))


@pytest.mark.parametrize("first", range(len(ROWS)), ids=names_of)
def test_a_record_depends_on_the_fault_of_its_own_peer_alone(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload, first: int
) -> None:
    """Each of four peers with different faults has the record that it has when it is alone.

    The record that a conforming relay makes is known; a relay with another record is asked again,
    with this peer alone.
    """
    rows = drawn(first)
    peers = [cluster.peer(fault=row.fault) for row in rows]
    with check("AGG-02", "the deploy"):
        outcome = relay.deploy(to=peers)
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    for row, peer in zip(rows, peers, strict=True):
        with check("AGG-04", f"the record and the uploads of the peer {row.name}"):
            actual = row.actual(outcome[peer], peer, payload)
            if actual != row.expected:
                alone = cluster.peer(fault=row.fault)
                record = relay.deploy(to=[alone])[alone]
                with_itself = row.actual(record, alone, payload)
                is_right = with_itself in (actual, row.expected)
                check.need(is_right, "its record is another one each time, also when it is alone")
                assert actual == with_itself
