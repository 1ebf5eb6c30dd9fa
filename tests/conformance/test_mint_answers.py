"""How a mint is answered: in every form that HTTP has, elsewhere, without an end, too late."""

from __future__ import annotations

import contextlib
import threading
from functools import partial

import pytest
from attrs import evolve

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, AnyAnswer, Drip, End, HeadThenSilence, Held, Script
from harness.faults.kinds import MintAnswer
from harness.judge.cases.relay import Relay
from harness.peer.peer import FakePeer
from harness.targets import Limits

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine
SOON = 0.5


class UntilTheEnd(Answer):
    """An answer without a length, which ends with its connection."""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        yield self.content
        yield End.CLOSE


def has_gone(peer: FakePeer) -> bool:
    """Whether the relay has closed its connections before anything was answered."""
    seen = peer.live_connections
    answered = any("answer" in request.times for it in seen for request in it.requests)
    return not answered and all(it.closed_by == "client" for it in seen)


@requirement("SEQ-06", "HTTP-05", "EARLY-10")
@pytest.mark.parametrize("form", ["chunked", "until the end", "interim"])
def test_the_answer_of_a_mint_is_read_in_every_form_that_http_has(
    cluster: FakeCluster, relay: Relay, form: str
) -> None:
    peer = cluster.peer()
    minted = Answer(json=peer.node.issue_tokens(None))
    in_form: dict[str, Answer] = {
        "chunked": evolve(minted, chunk_size=7),
        "until the end": UntilTheEnd(json=minted.json),
        "interim": evolve(minted, interim=(100, 103)),
    }
    peer.fault = MintAnswer(in_form[form])
    assert relay.deploy(to=[relay.minting(peer)])[peer].status == "success"


@requirement("HTTP-03", "SEQ-06")
@pytest.mark.parametrize(
    "answer",
    [
        HeadThenSilence(Answer(json={"operation_token": "never-there"})),
        Drip(Answer(json={"operation_token": "slow" * 100}), bytes_per_second=200),
    ],
    ids=["silence", "drip"],
)
def test_a_mint_whose_answer_does_not_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, answer: AnyAnswer
) -> None:
    peer = cluster.peer(fault=MintAnswer(answer))
    record = relay.deploy(to=[peer], limits=Limits(mint=0.3), deadline=IN_TIME)[peer]
    assert record.reason.startswith("token mint failed: ")
    assert peer.uploads == []


@requirement("HTTP-03", "SEQ-06")
def test_a_mint_that_was_given_up_is_followed_by_no_upload(
    cluster: FakeCluster, relay: Relay
) -> None:
    """What was only not waited for would deploy behind the back of a failed record."""
    peer, given_up = cluster.peer(), threading.Event()
    minted = Answer(json=peer.node.issue_tokens(None))
    peer.fault = MintAnswer(Held(minted, until=partial(given_up.wait, 0.2)))
    record = relay.deploy(to=[peer], limits=Limits(mint=0.1), deadline=IN_TIME)[peer]
    given_up.set()
    assert record.reason.startswith("token mint failed: ")
    with contextlib.suppress(TimeoutError):  # a relay may let it come, and throw it away
        peer.wait_until(lambda peer: bool(peer.live_uploads) or has_gone(peer), SOON)
    assert peer.live_uploads == []
