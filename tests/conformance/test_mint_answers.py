"""How a mint is answered: in every form that HTTP has, without an end, too late."""

from __future__ import annotations

import contextlib
import threading
from functools import partial

import pytest
from attrs import evolve, frozen

from deploy_relay_kit.harness import (
    Answer,
    Drip,
    End,
    FakeCluster,
    FakePeer,
    HeadThenSilence,
    Held,
    MintAnswer,
)
from deploy_relay_kit.harness.faults.answers import Pause, Script
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME, LIMIT
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import Limits

REASON = "token mint failed: "
SOON = 0.5
"""Seconds after a late answer within which an upload would begin."""


class UntilTheEnd(Answer):
    """An answer without a length, which ends with its connection."""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        yield self.content
        yield End.CLOSE


@pytest.mark.parametrize("form", ["chunked", "until the end", "interim"])
def test_the_answer_of_a_mint_is_read_in_every_form_that_http_has(
    cluster: FakeCluster, relay: Relay, check: Checks, form: str
) -> None:
    """The token is read from a chunked answer, one without a length, and one after others."""
    peer = cluster.peer()
    minted = Answer(json=peer.node.issue_tokens(None))
    in_form: dict[str, Answer] = {
        "chunked": evolve(minted, chunk_size=7),
        "until the end": UntilTheEnd(json=minted.json),
        "interim": evolve(minted, interim=(100, 103)),
    }
    peer.fault = MintAnswer(in_form[form])
    relay.deploy(to=[relay.minting(peer)])
    with check("EARLY-10" if form == "interim" else "HTTP-05", "the tokens of the uploads"):
        check.need(peer.mints, f"{peer.name} saw no mint")
        tokens = [upload.token for upload in peer.uploads]
        early = tokens and peer.upload.times["head"] < peer.mint.times["answer"]
        check.need(not early, "the upload did not wait for its token (SEQ-04)")
        assert tokens[:1] == [minted.json["operation_token"]]


@frozen
class SlowBody(Answer):
    """Send the head at once, and the body byte by byte, at 200 bytes per second."""

    def script(self, *, keep_alive: bool) -> Script:
        head, *body = super().script(keep_alive=keep_alive)
        yield head
        for step in body:
            for byte in step if isinstance(step, bytes) else b"":
                yield bytes([byte])
                yield Pause(1 / 200)


@frozen
class AfterInterim(Answer):
    """Send interim answers for two seconds, and then the answer."""

    def script(self, *, keep_alive: bool) -> Script:
        for _ in range(40):
            yield b"HTTP/1.1 102 Processing\r\n\r\n"
            yield Pause(1 / 20)
        yield from super().script(keep_alive=keep_alive)


SLOW = {"operation_token": "slow" * 100}
SLOW_BODIES = [SlowBody(json=SLOW), SlowBody(json=SLOW, chunk_size=50)]


@pytest.mark.parametrize(
    "answer",
    [
        HeadThenSilence(Answer(json={"operation_token": "never-there"})),
        Drip(Answer(json=SLOW), bytes_per_second=200),
        *SLOW_BODIES,
        AfterInterim(json=SLOW),
    ],
    ids=["silence", "drip", "slow body", "slow chunk", "interim"],
)
def test_a_mint_whose_answer_does_not_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks, answer: AnyAnswer
) -> None:
    """A mint whose answer does not end is given up at the limit of a mint, without an upload."""
    peer = cluster.peer(fault=MintAnswer(answer))
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for a mint"):
        outcome = relay.deploy(to=[peer], limits=Limits(mint=LIMIT), deadline=IN_TIME)
    ends = not isinstance(answer, HeadThenSilence)  # after two seconds, for a relay that waits
    with check(
        "HTTP-03" if ends else "SEQ-06", f"the uploads after a mint of more than {LIMIT:g} s"
    ):
        assert len(peer.uploads) == 0
    with check("SEQ-06", "the beginning of the reason"):
        check.need(not peer.uploads, "the relay did not give up the mint")
        assert outcome[peer].reason[: len(REASON)] == REASON


def is_over(peer: FakePeer) -> bool:
    """Whether an upload began, or the relay closed every connection before an answer."""
    seen = peer.live_connections
    answered = any("answer" in request.times for it in seen for request in it.requests)
    closed = not answered and all(it.closed_by == "client" for it in seen)
    return closed or bool(peer.live_uploads)


def test_a_mint_that_is_given_up_is_not_followed_by_an_upload(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A mint that is answered after its limit is not followed by an upload.

    A relay that only stops to wait for it would deploy after the failed record.
    """
    peer, given_up = cluster.peer(), threading.Event()
    minted = Answer(json=peer.node.issue_tokens(None))
    peer.fault = MintAnswer(Held(minted, until=partial(given_up.wait, 2 * LIMIT)))
    with check("HTTP-03", f"the end of the deploy, with a limit of {LIMIT:g} s for a mint"):
        outcome = relay.deploy(to=[peer], limits=Limits(mint=LIMIT), deadline=IN_TIME)
    given_up.set()
    with contextlib.suppress(TimeoutError):  # a relay may read the answer and ignore it
        peer.wait_until(is_over, SOON)
    with check("SEQ-06", "the beginning of the reason"):
        check.need(outcome[peer].status == "failed", "the relay did not give up the mint")
        assert outcome[peer].reason[: len(REASON)] == REASON
    with check("SEQ-06", "the uploads after the failed mint"):
        check.need(outcome[peer].status == "failed", "the relay did not give up the mint")
        assert len(peer.live_uploads) == 0
