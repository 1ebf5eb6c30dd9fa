"""What a peer of the soak may do, and which record follows from it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CertificateFlaw,
    CloseInHandshake,
    CloseWithoutAnswer,
    ContentLengthOff,
    Drip,
    EndlessHead,
    Event,
    EventStream,
    Fault,
    Flood,
    HangInHandshake,
    HeadThenSilence,
    MintAnswer,
    MintDropped,
    MintHangs,
    MintNested,
    ReadSlowly,
    Refuse,
    ResetAfter,
    ResetAtAccept,
    SilentAfterAccept,
    StopReadingAfter,
    TokensExpire,
    UnfinishedChunks,
    mint_refused,
    mint_without_token,
)
from deploy_relay_kit.harness.faults.broken_answers import FloodOf
from deploy_relay_kit.harness.faults.uploads import Rest

OWN = Answer(json={"message": "done"})
NO = Answer.error(403, "no")


@dataclass(frozen=True)
class Role:
    """A peer of the soak.

    Attributes:
        name: what it does, in words.
        fault: its fault, drawn anew for each peer.
        expected: members of the record; a reason is expected to hold this text.
        is_slow: whether a limit has to pass.
        least: bytes of a payload for which this is the record.
    """

    name: str
    fault: Callable[[random.Random], Fault | None]
    expected: dict[str, Any]
    is_slow: bool = False
    least: int = 1

    def differs(self, record: dict[str, Any]) -> bool:
        """Whether the record is not the expected one."""
        expected = dict(self.expected)
        text = expected.pop("reason", "")
        same = {name: record.get(name) for name in expected} == expected
        return not same or text not in str(record.get("reason", ""))


def success(name: str, fault: Fault | None, **how: Any) -> Role:
    return Role(name, lambda _: fault, {"status": "success"}, **how)


def failed(name: str, fault: Fault, *, slow: bool = False, least: int = 1, **expected: Any) -> Role:
    return Role(name, lambda _: fault, {"status": "failed", **expected}, slow, least)


def drawn(name: str, fault: Callable[[random.Random], Fault], **expected: Any) -> Role:
    return Role(name, fault, {"status": "failed", **expected})


MINT = "token mint failed: "
FLOODS = get_args(FloodOf)
ENDS = get_args(Rest)
ROLES = [
    success("healthy", None),
    success("own answer", OWN),
    success("events", EventStream()),
    success("token inside results", MintNested()),
    success("slow answer", Drip(OWN, bytes_per_second=500)),
    success("slow reader", ReadSlowly(bytes_per_second=4_000_000)),
    failed("refuses", Refuse(), stage="connect"),
    failed("resets at accept", ResetAtAccept()),
    failed("closes in handshake", CloseInHandshake()),
    failed("silent after accept", SilentAfterAccept(), slow=True, reason="no connection in"),
    failed("hangs in handshake", HangInHandshake(), slow=True, reason="no connection in"),
    *(failed(f"certificate {flaw.name}", flaw, stage="tls") for flaw in CertificateFlaw),
    failed("mint 401", mint_refused(), statusCode=401, reason=MINT),
    failed("mint without token", mint_without_token(), reason=MINT),
    failed("mint dropped", MintDropped(), reason=MINT),
    failed("mint hangs", MintHangs(), slow=True, reason=f"{MINT}no answer in"),
    *(failed(f"mint with {of}", MintAnswer(Flood(of)), reason=MINT) for of in FLOODS),
    failed("token expired", TokensExpire(first=9), statusCode=401, reason="token expired"),
    drawn("resets in the body", lambda draw: ResetAfter(draw.randrange(1, 400))),
    failed("stops reading", StopReadingAfter(70_000), slow=True, least=8 << 20, stage="upload"),
    failed("closes without answer", CloseWithoutAnswer(), stage="answer", uncertain=True),
    failed("500", Answer.error(500, "boom"), statusCode=500, reason="boom"),
    failed("504", Answer(504), statusCode=504, uncertain=True),
    failed("307", Answer.redirect("https://127.0.0.1:1/"), statusCode=307),
    failed("chunks without end", UnfinishedChunks(OWN), stage="answer", uncertain=True),
    failed("chunks, then a reset", UnfinishedChunks(OWN, end="reset"), stage="answer"),
    failed("cut short", ContentLengthOff(OWN, by=10), stage="answer", uncertain=True),
    failed("head, then silence", HeadThenSilence(OWN), slow=True, uncertain=True),
    failed("head without end", EndlessHead(), stage="answer"),
    failed("stream without end", EventStream(truncated=True, events=()), uncertain=True),
    failed("error event", EventStream((Event("error", {"message": "npm failed"}),)), reason="npm"),
    *(failed(f"flood of {of}", Flood(of), stage="answer", uncertain=True) for of in FLOODS),
    *(failed(f"early 403, {end}", AnswerEarly(NO, then=end), statusCode=403) for end in ENDS),
    failed("early 401 at the head", AnswerEarly(Answer.error(401, "no"), "head"), statusCode=401),
]
