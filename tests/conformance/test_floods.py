"""Peers that answer without end, as fast as the relay reads."""

from __future__ import annotations

import pytest
from attrs import frozen

from deploy_relay_kit.harness import Answer, FakeCluster, FakePeer, Flood
from deploy_relay_kit.harness.faults.answers import Pause, Script
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


def test_an_answer_that_drips_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """A byte of an answer does not restart its limit, in no success, refusal or event stream."""
    drips: dict[object, FakePeer] = {
        status: cluster.peer(fault=Dripping(status, body="x" * 3_000)) for status in (200, 500)
    }
    comments = Dripping(body=":\n" * 1_500, content_type="text/event-stream")
    drips["200 of comments"] = cluster.peer(fault=comments)
    with check("KIT-10", f"the end of the deploy, with a limit of {LIMIT:g} s for an answer"):
        outcome = relay.deploy(to=drips.values(), limits=Limits(answer=LIMIT), deadline=IN_TIME)
    for status, peer in drips.items():
        with check("KIT-10", f"the status of the record of an answer {status} that drips"):
            assert outcome[peer].status == "failed"
