"""Peers that answer without end, as fast as the relay reads."""

from __future__ import annotations

import pytest
from attrs import frozen

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    FakeCluster,
    Fault,
    Flood,
    HangInHandshake,
    HeadThenSilence,
    MintAnswer,
    MintHangs,
    Payload,
)
from deploy_relay_kit.harness.faults.answers import End, Pause, Script
from deploy_relay_kit.harness.faults.broken_answers import FloodOf
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import look_at_neighbour
from deploy_relay_kit.harness.targets.deploy_command import Limits


@pytest.mark.parametrize("of", ["comments", "chunks", "interim answers"])
def test_an_answer_without_end_costs_its_own_record_alone(
    cluster: FakeCluster, relay: Relay, check: Checks, of: FloodOf
) -> None:
    """A peer that answers without end gets a failed record; the deploy to another peer succeeds.

    What it sends without end says nothing: comments of an event stream, chunks of one byte, or
    interim answers.
    """
    flood, other = cluster.peer(fault=Flood(of)), cluster.peer()
    with check("KIT-10", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(to=[flood, other], limits=Limits(answer=LIMIT), deadline=IN_TIME)
    with check("KIT-10", "the status of the record of the peer that floods"):
        check.need(outcome[other].status == "success", "an answer with an end is no success")
        assert outcome[flood].status == "failed"
    look_at_neighbour(check, relay, outcome, other)


@frozen
class Dripping(Answer):
    """Send the head at once, and then a byte of the body every 10 ms."""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive)
        for byte in self.content:
            yield bytes([byte])
            yield Pause(0.01)


@frozen
class Repeating(Answer):
    """Send a beginning, which may be the head of the answer, and then a piece every 10 ms."""

    begin: bytes | None = None
    piece: bytes = b""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive) if self.begin is None else self.begin
        while True:
            yield self.piece
            yield Pause(0.01)


@frozen
class Stopping(Answer):
    """Send the head and the begin of the body, and nothing more."""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive) + self.content[:-1]
        yield End.SILENCE


STREAM = "text/event-stream"
EVENT = "event: install\ndata: {}\n\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
INTERIM = Repeating(begin=PROCESSING, piece=PROCESSING)
HEAD = Repeating(begin=b"HTTP/1.1 200 OK\r\n", piece=b"x-more: a\r\n")
DRIPS: dict[str, Answer] = {
    "200 that drips": Dripping(body="x" * 3_000),
    "500 that drips": Dripping(500, body="x" * 3_000),
    "200 of comments": Dripping(body=":\n" * 1_500, content_type=STREAM),
    "200 of an event without its end": Dripping(
        body="event: install\n" + "data: 1\n" * 500, content_type=STREAM
    ),
    "200 of one event and silence": Stopping(body=f"{EVENT}:\n\n", content_type=STREAM),
    "200 whose head drips": HEAD,
    "200 after interim answers that drip": INTERIM,
}
OF_MINTS = ("500 that drips", "200 that drips", "200 whose head drips")


def test_an_answer_that_drips_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """No byte of an answer or of a mint restarts its limit, and no line of an event stream."""
    drips = {what: cluster.peer(fault=answer) for what, answer in DRIPS.items()}
    if "mint.operations" in relay.target.capabilities:
        mints = {f"{what}, to a mint": MintAnswer(DRIPS[what]) for what in OF_MINTS}
        drips |= {what: cluster.peer(fault=fault) for what, fault in mints.items()}
    limits = Limits(mint=2 * LIMIT, answer=LIMIT)
    with check("KIT-10", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(to=drips.values(), limits=limits, deadline=IN_TIME)
    for what, peer in drips.items():
        with check("KIT-10", f"the status of the record of an answer {what}"):
            assert outcome[peer].status == "failed"


EARLY: dict[str, Answer | HeadThenSilence] = {
    "200 that drips": DRIPS["200 that drips"],
    "200 of comments": DRIPS["200 of comments"],
    "200 of events that drip": Dripping(body=EVENT * 100, content_type=STREAM),
    "200 of one event": DRIPS["200 of one event and silence"],
    "200 without its body": HeadThenSilence(Answer(json={"message": "done"})),
    "403 that drips": Dripping(403, body="x" * 3_000),
    "no head, but interim answers": INTERIM,
}
HALF_A_SECOND = 0.5


def test_an_early_answer_that_does_not_end_holds_no_upload(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A peer that takes no bytes is given up in time, whatever its early answer sends.

    The limit is a part of a second.
    """
    peers = {
        what: cluster.peer(fault=AnswerEarly(answer, then="stop")) for what, answer in EARLY.items()
    }
    limits = Limits(stall=HALF_A_SECOND, answer=HALF_A_SECOND)
    with check("HTTP-03", f"the end of the deploy, with limits of {HALF_A_SECOND} s"):
        outcome = relay.deploy(
            to=peers.values(), payload=large.path, limits=limits, deadline=IN_TIME
        )
    for what, peer in peers.items():
        with check("HTTP-03", f"the status of the record after {what}"):
            check.need(peer.uploads, f"{peer.name} saw no upload")
            assert outcome[peer].status == "failed"


def test_a_limit_of_half_a_second_holds(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """A limit that is a part of a second holds for connecting, for the mint and for an answer."""
    hangs: dict[str, tuple[Fault, Limits]] = {
        "does not connect": (HangInHandshake(), Limits(connect=HALF_A_SECOND))
    }
    if "mint.operations" in relay.target.capabilities:
        hangs["does not mint"] = (MintHangs(), Limits(mint=HALF_A_SECOND))
    answers = HeadThenSilence(Answer(json={"message": "done"}))
    hangs["does not end its answer"] = (answers, Limits(answer=HALF_A_SECOND))
    for what, (fault, limits) in hangs.items():
        peer = cluster.peer(fault=fault)
        with check("HTTP-03", f"the end of a deploy to a peer that {what}"):
            record = relay.deploy(to=[peer], limits=limits, deadline=IN_TIME)[peer]
        check.need(peer.connections, f"no connection reached {peer.name}")
        with check("HTTP-03", f"the status of the record of a peer that {what}"):
            assert record.status == "failed"
        with check("RES-10", f"statusCode in the record of a peer that {what}"):
            assert "statusCode" not in list(record.members)
