"""Peers that answer without end, as fast as the relay reads."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness import FakeCluster, Flood
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
