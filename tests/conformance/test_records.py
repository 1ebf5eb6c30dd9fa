"""The members of a record that the relay alone sets, whatever a peer says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CertificateFlaw,
    CloseInHandshake,
    Event,
    EventStream,
    FakeCluster,
    Fault,
    MintAnswer,
    MintDropped,
    Refuse,
    ResetAfter,
    mint_refused,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.targets import DeployNode, GivenToken

Members = dict[str, object]
OWN = ("status", "reason", "statusCode", "hint", "attempts", "uncertain", "stage")
"""Members that the relay alone sets, beside the node."""


def refusal(members: Members) -> Answer:
    return Answer(500, json={**members, "error": "final"})


def success(members: Members) -> Answer:
    return Answer(json={**members, "message": "final"})


def error_event(members: Members) -> EventStream:
    return EventStream((Event("error", {**members, "message": "final"}),))


def done_event(members: Members) -> EventStream:
    return EventStream((Event("done", {"result": {**members, "message": "final"}}),))


@pytest.mark.parametrize(
    ("answer_with", "status"),
    [(refusal, "failed"), (success, "success"), (error_event, "failed"), (done_event, "success")],
)
def test_no_answer_changes_the_members_that_the_relay_sets(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    answer_with: Callable[[Members], Answer | EventStream],
    status: str,
) -> None:
    """The node, the status and the other members that the relay sets are not the peer's."""
    given: Members = dict.fromkeys(OWN, "from the peer")
    given |= {"node": "node-9", "status": "failed" if status == "success" else "success"}
    peer, plain = (cluster.peer(fault=answer_with(members)) for members in (given, {}))
    outcome = relay.deploy(to=[peer, plain], events=isinstance(answer_with({}), EventStream))
    control = outcome[plain]
    check.need(control.status == status, f"without these members the record is not {status} either")
    others = [record for record in outcome.records if record is not control]
    check.need(len(others) == 1, f"there are {len(others)} records of {peer.name}, not one")
    record = others[0]
    with check("AGG-03", "the node of the record"):
        check.need(record.node != given["node"], "it is that of the answer (RES-02)")
        assert record.node == peer.name
    with check("RES-02", 'the member "node" of the record'):
        assert record.node != given["node"]
    for name in OWN:
        with check("RES-02", f'the member "{name}" of the record'):
            if name == "reason" and status == "failed":
                check.need(control.reason == "final", "without these members it is another one")
            assert record.members.get(name) == control.members.get(name)
    if status == "success":
        with check("RES-01", "the message of the record"):
            message = control.members.get("message")
            check.need(message == "final", "without these members it is another one")
            assert record["message"] == "final"


def test_a_result_with_node_and_status_does_not_change_them(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The relay sets node and status itself, whatever the result of the event done says."""
    given: Members = {"node": "another", "status": "failed", "reason": "of the peer"}
    peer, plain = (cluster.peer(fault=done_event(members)) for members in (given, {}))
    outcome = relay.deploy(to=[peer, plain], events=True)
    check.need(outcome[plain].status == "success", "without these members it is no success either")
    others = [record for record in outcome.records if record is not outcome[plain]]
    check.need(len(others) == 1, f"there are {len(others)} records of {peer.name}, not one")
    with check("RES-02", "the node of the record"):
        assert others[0].node != "another"
    with check("RES-02", "the status of the record"):
        assert others[0].status == "success"
    with check("SSE-09", "the message of the record"):
        check.need(others[0].status == "success", "the record is not a success (RES-02)")
        message = outcome[plain].members.get("message")
        check.need(message == "final", "without these members it is another one")
        assert others[0]["message"] == "final"


CERTAIN: dict[str, Fault | None] = {
    "a success": None,
    "a refusal with 401": Answer(401),
    "a refusal with 404": Answer(404),
    "a refusal with 500": Answer(500),
    "a refusal during the upload": AnswerEarly(Answer(403), then="drain"),
    "a refused connection": Refuse(),
    "a handshake that ended": CloseInHandshake(),
    "an expired certificate": CertificateFlaw.EXPIRED,
}
CERTAIN_MINTS: dict[str, Fault] = {
    "a refused mint": mint_refused(),
    "a mint without an answer": MintDropped(),
    "a mint answered 503": MintAnswer(Answer(503)),
}


def test_no_record_is_uncertain_after_an_answer_or_without_an_upload(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """No record is marked as uncertain when the peer answered, or when nothing was sent to it."""
    declared, nodes = relay.target.capabilities, dict[str, DeployNode]()
    for what, fault in CERTAIN.items():
        peer = cluster.peer(fault=fault)
        nodes[what] = relay.node(peer)
        if "mint.given" in declared:  # a mint fails before an upload that would be uncertain
            token = GivenToken(peer.tokens.issue(peer.username))
            nodes[f"{what}, with a given token"] = relay.node(
                peer, name=f"given-{peer.name}", mint=token
            )
    if "mint.operations" in declared:
        mints = {what: cluster.peer(fault=fault) for what, fault in CERTAIN_MINTS.items()}
        nodes |= {what: relay.minting(peer) for what, peer in mints.items()}
    outcome = relay.deploy(to=nodes.values())
    for what, node in nodes.items():
        with check("RES-02", f'the member "uncertain" of the record after {what}'):
            assert outcome[node].members.get("uncertain") in (None, False)


@pytest.mark.parametrize(
    ("fault", "stages"),
    [
        (Refuse(), ("connect", "mint")),  # the mint connects
        (CertificateFlaw.EXPIRED, ("tls", "mint")),
        (mint_refused(), ("mint",)),
        (ResetAfter(70_000), ("upload", "answer")),
        (Answer(500), ("answer",)),
    ],
    ids=["refused", "untrusted", "mint", "reset", "answer"],
)
def test_a_stage_is_where_the_attempt_failed(
    cluster: FakeCluster, relay: Relay, check: Checks, fault: Fault, stages: tuple[str, ...]
) -> None:
    """The stage in a failed record, if there is any, is where the attempt failed."""
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    with check("RES-02", "the stage in the record"):
        check.need(record.status == "failed", "the record is not failed")
        assert record.members.get("stage") in (None, *stages)
