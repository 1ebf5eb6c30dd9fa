"""Faults as text on a command line."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness.faults import kinds as faults
from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import (
    Drip,
    EndlessHead,
    Flood,
)
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw
from deploy_relay_kit.harness.faults.text import description, fault_names, parse_fault

REFUSED = Answer(401, json={"error": "Unauthorized"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Refuse", faults.Refuse()),
        ("ResetAfter:65536", faults.ResetAfter(65536)),
        ("ReadSlowly:1000", faults.ReadSlowly(1000)),
        ("TlsOnly:1.2", faults.TlsOnly("1.2")),
        ("expired", CertificateFlaw.EXPIRED),
        ("Answer:401", REFUSED),
        ("Answer:204", Answer(204)),
        ("Answer", Answer(200, json={"message": "OK"})),
        ("AnswerEarly:401", faults.AnswerEarly(REFUSED)),
        ("AnswerEarly:401:head:stop", faults.AnswerEarly(REFUSED, at="head", then="stop")),
        ("AnswerEarly:401:1000:grace:0.5", faults.AnswerEarly(REFUSED, 1000, "grace", 0.5)),
        ("Drip:401:10", Drip(REFUSED, 10)),
        ("EndlessHead", EndlessHead()),
        ("Flood:chunks", Flood("chunks")),
        ("EventStream", EventStream()),
        ("MintAnswer:401", faults.MintAnswer(REFUSED)),
        ("TokensExpire:2", faults.TokensExpire(2)),
        ("Refuse:0.5,healthy", faults.in_turn(faults.Refuse(0.5), None)),
        ("Answer:401,ResetAfter:7", faults.in_turn(REFUSED, faults.ResetAfter(7))),
        ("Sometimes:0.5:7:MintHangs", faults.Sometimes(0.5, faults.MintHangs(), seed=7)),
        (
            "Matching:x-try:2:Answer:401,healthy",
            faults.Matching(faults.HasHeader("x-try", "2"), faults.in_turn(REFUSED, None)),
        ),
        ("Latency:0.2:first-byte:0.1:7", faults.Latency(0.2, "first-byte", 0.1, 7)),
        ("Bandwidth:1000:2000", faults.Bandwidth(1000, 2000)),
        ("Slices:10:3:0.1", faults.Slices(10, 3, 0.1)),
        ("SlowClose:0.2", faults.SlowClose(0.2)),
        ("HalfOpen", faults.HalfOpen()),
    ],
)
def test_a_text_names_a_fault(text: str, fault: faults.Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no such fault; give one of wrong-authority"),
        ("nope:1", "no such fault"),
        ("InTurn", "no such fault"),
        ("ResetAfter", "ResetAfter needs a value for received"),
        ("ResetAfter:many", "received must be an integer of 0 or more, not 'many'"),
        ("Refuse:1:2", "Refuse takes at most 1 values"),
        ("SilentAfterAccept:1", "SilentAfterAccept takes at most 0 values"),
        ("Sometimes:0.5:Refuse", "write it as Sometimes:probability:seed:FAULT"),
        ("Sometimes:2:0:MintHangs", "probability must be a number from 0 to 1, not 2.0"),
        ("Matching:a:b:SilentAfterAccept", "fault must be a fault of uploads or of mints"),
        ("Refuse,healthy", "Refuse.. without seconds is the last turn"),
        ("MintHangs,Answer", "faults of uploads, or of mints"),
        ("Latency:1:nowhere", "at must be one of 'accept'"),
        ("Latency:1:head:2", "jitter must be at most seconds, 1, not 2.0"),
        ("Slices:5:5", "variation must be below size, 5, not 5"),
        ("expired:1", "expired takes no values"),
        ("TlsOnly:1.1", "version must be one of '1.2', '1.3', not '1.1'"),
        (
            "AnswerEarly:401:tail",
            "at must be one of 'head', 'file' or an integer of 0 or more, not 'tail'",
        ),
        ("Answer:ok", "status must be an integer from 200 to 599, not 'ok'"),
        ("Answer:100", "status must be an integer from 200 to 599, not 100"),
        ("AnswerEarly:99", "status must .*, not 99"),
        ("ReadSlowly:0", "bytes_per_second must be an integer of 1 or more, not 0"),
        ("ResetAfter:-5", "received must .*, not -5"),
        ("AnswerEarly:401:-3", "at must .*, not -3"),
        ("Drip:200:0", "bytes_per_second must .*, not 0.0"),
        ("Drip:200:nan", "bytes_per_second must .*, not nan"),
        ("TokensExpire:0", "first must .*, not 0"),
    ],
)
def test_what_names_none_is_told_what_would(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        parse_fault(text)
    assert f"fault {text!r}: " in str(refused.value)


def test_every_fault_can_be_written() -> None:
    for written in fault_names():
        name, *parameters = written.split(":")
        values = {
            "jitter": "0",
            "variation": "0",
            "version": "1.3",
            "of": "chunks",
            "at": "head",
            "then": "drain",
            "end": "reset",
        }
        text = ":".join([name, *(values.get(parameter, "401") for parameter in parameters)])
        fault = parse_fault(text)
        assert name in (type(fault).__name__, getattr(fault, "value", None))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (CertificateFlaw.EXPIRED, "a certificate that is expired"),
        (faults.MintHangs(), "mint hangs"),
        (faults.ResetAfter(65_536), "reset after (received 65536)"),
        (faults.AnswerEarly(Answer(403), then="close"), "answer early (answer 403, then close)"),
        (faults.InTurn((None, Answer(503))), "nothing, then answer 503"),
        (ConnectionError("x"), "x"),
        (
            faults.Sometimes(0.5, faults.ResetAfter(7), seed=3),
            "reset after (received 7), with probability 0.5 (seed 3)",
        ),
        (faults.Latency(0.5, jitter=0.1), "latency (seconds 0.5, jitter 0.1, seed 0)"),
        (faults.Slices(7, 2), "slices (size 7, variation 2, seed 0)"),
        (faults.Latency(0.5, "chunk", seed=3), "latency (seconds 0.5, at chunk, seed 3)"),
    ],
)
def test_a_fault_has_words_for_people(fault: object, words: str) -> None:
    assert description(fault) == words
