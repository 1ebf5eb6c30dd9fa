"""What a record says of itself: the relay's own word, whatever a peer would have it say."""

from __future__ import annotations

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.events import Event, EventStream
from harness.faults.kinds import CertificateFlaw, Fault, Refuse, ResetAfter, mint_refused
from harness.judge.cases.relay import Relay

requirement = pytest.mark.requirement

OWN = "node", "status", "reason", "statusCode", "hint", "attempts", "uncertain", "stage"
TOLD = dict.fromkeys(OWN, "told by the peer")
ERROR_EVENT = EventStream((Event("error", {**TOLD, "message": "final"}),))


@requirement("RES-02")
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer(500, json={**TOLD, "error": "final"}), "failed"),
        (Answer(json={**TOLD, "message": "final"}), "success"),
        (ERROR_EVENT, "failed"),
        (EventStream((Event("done", {"result": {**TOLD, "message": "final"}}),)), "success"),
    ],
    ids=["refusal", "success", "error", "done"],
)
def test_no_answer_changes_what_is_the_relays_own(
    cluster: FakeCluster, relay: Relay, answer: Answer | EventStream, status: str
) -> None:
    peer = cluster.peer(fault=answer)
    outcome = relay.deploy(to=[peer], events=isinstance(answer, EventStream))
    [record] = outcome.records
    assert (record["node"], record.status) == (peer.name, status)
    assert record["message" if status == "success" else "reason"] == "final"
    assert [name for name in OWN if record.members.get(name) == TOLD[name]] == []


@requirement("RES-02")
def test_nothing_is_uncertain_that_was_answered_or_never_sent(
    cluster: FakeCluster, relay: Relay
) -> None:
    faults: list[Fault | None] = [None, Answer(401), Answer(500), Refuse()]
    outcome = relay.deploy(to=[cluster.peer(fault=fault) for fault in faults])
    assert not any(record.members.get("uncertain") for record in outcome.records)


@requirement("RES-02")
@pytest.mark.parametrize(
    ("fault", "stages"),
    [
        (Refuse(), {"connect", "mint"}),  # it was to mint that it connected
        (CertificateFlaw.EXPIRED, {"tls", "mint"}),
        (mint_refused(), {"mint"}),
        (ResetAfter(70_000), {"upload", "answer"}),
        (Answer(500), {"answer"}),
    ],
    ids=["refused", "untrusted", "mint", "reset", "answer"],
)
def test_a_stage_is_how_far_it_came(
    cluster: FakeCluster, relay: Relay, fault: Fault, stages: set[str]
) -> None:
    record = relay.deploy(to=[peer := cluster.peer(fault=fault)])[peer]
    assert record.status == "failed"
    assert record.members.get("stage") in {None, *stages}
