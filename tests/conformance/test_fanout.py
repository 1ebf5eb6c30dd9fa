"""All peers at once, each independent of the others: three healthy peers, and one that fails."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    CloseWithoutAnswer,
    FakeCluster,
    Fault,
    Payload,
    ResetAfter,
    mint_refused,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import file_of, look_at_neighbour, need_upload
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import Outcome


def test_every_peer_receives_the_staged_payload_whole(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload
) -> None:
    """Each of three peers receives the whole payload, from its first byte."""
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=peers)
    for peer in peers:
        with check("FLD-08", f"the SHA-256 of the payload at {peer.name}"):
            assert file_of(peer.upload).sha256 == payload.sha256
    with check("SEQ-03", "the number of different beginnings of the payload at three peers"):
        assert len({file_of(peer.upload).first for peer in peers}) == 1


ODD_NAMES = [("b", "10", "9"), ("b", "2", "__proto__", 'ü \n"☃')]


@pytest.mark.parametrize("names", [("node-b", "node-c", "node-a"), *ODD_NAMES], ids=ascii)
def test_records_are_in_node_order(
    cluster: FakeCluster, relay: Relay, check: Checks, names: tuple[str, ...]
) -> None:
    """The records are in the order of the nodes, although the first node fails.

    Tables of some languages sort numbers before other names, or give a meaning to some names.
    """
    peers = [cluster.peer(name) for name in names]
    peers[0].fault = Answer.error(500, "the first node fails")
    outcome = relay.deploy(to=peers)
    with check("AGG-01", "the nodes of the records"):
        check.need(outcome.refused is None, f"the relay refused the deploy: {outcome.refused}")
        check.need(any(outcome.nodes), "no record names its node (AGG-03)")
        assert outcome.nodes == list(names)


def test_a_deploy_to_no_nodes_has_no_records(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The report of a deploy to no nodes has no records; to refuse the deploy is as good."""
    need_upload(cluster, relay, {})
    outcome = relay.deploy(to=[])
    with check("AGG-05", "the number of records"):
        assert len(outcome.records) == 0


def test_each_peer_mints_its_own_token(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """Each upload carries the token that its own peer minted."""
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=map(relay.minting, peers))
    for peer in peers:
        with check("SEQ-08", f"the token of the upload to {peer.name}"):
            check.need(peer.mint.token, f"{peer.name} minted no token")
            same = peer.upload.token == peer.mint.token
            assert same, f"expected the token that {peer.name} minted, got another one"


@pytest.mark.parametrize(
    ("requirement", "fault"),
    [
        ("RES-05", Answer.error(500, "boom")),
        ("RES-10", ResetAfter(70_000)),
        ("RES-10", CloseWithoutAnswer()),
        ("SEQ-06", mint_refused()),
    ],
    ids=lambda it: it if isinstance(it, str) else type(it).__name__,
)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_one_failing_peer_changes_nothing_for_the_others(
    cluster: FakeCluster,
    relay: Relay,
    check: Checks,
    payload: Payload,
    *,
    requirement: str,
    fault: Fault,
    failing: int,
) -> None:
    """A peer that fails has a failed record, and the other two receive and report everything."""
    peers = [cluster.peer(fault=fault if i == failing else None) for i in range(3)]
    outcome = relay.deploy(to=peers)
    lost = peers.pop(failing)
    with check(requirement, "the status of the record of the failing peer"):
        assert outcome[lost].status == "failed"
    for peer in peers:
        check_untouched(check, relay, outcome, peer, payload)


def check_untouched(
    check: Checks, relay: Relay, outcome: Outcome, peer: FakePeer, payload: Payload
) -> None:
    """Look at all that a failing neighbour could change for a healthy peer."""
    subject = f"the status of the record of the healthy {peer.name}"
    look_at_neighbour(check, relay, outcome, peer, subject=subject)
    with check("FLD-08", f"the SHA-256 of the payload at the healthy {peer.name}"):
        assert file_of(peer.upload).sha256 == payload.sha256
    with check("RES-01", f"the message in the record of the healthy {peer.name}"):
        check.need(outcome[peer].status == "success", "the record is failed (AGG-04)")
        assert "Successfully deployed" in str(outcome[peer]["message"])


DEEP = 100_000


@pytest.mark.parametrize("body", ["[" * DEEP, '{"a":' * DEEP], ids=["lists", "objects"])
def test_an_answer_nested_too_deeply_costs_one_record(
    cluster: FakeCluster, relay: Relay, check: Checks, payload: Payload, body: str
) -> None:
    """An answer that is nested too deeply costs at most the record of its own peer.

    Most readers of JSON fail at such depth before they see that the text does not end.
    """
    deep = cluster.peer(fault=Answer(body=body, content_type="application/json"))
    other = cluster.peer()
    with check("AGG-02", "the deploy"):
        outcome = relay.deploy(to=[deep, other])
        assert outcome.refused is None, f"expected records, got a refusal: {outcome.refused}"
    check_untouched(check, relay, outcome, other, payload)


def test_nothing_is_in_progress_when_the_records_are_there(
    cluster: FakeCluster, relay: Relay, check: Checks, large: Payload
) -> None:
    """A deploy is over when its records are there: of success, of a refusal, of a broken upload."""
    early = AnswerEarly(Answer.error(403, "may not deploy here"), "file", "drain")
    faults = (None, Answer.error(500, "final"), early, CloseWithoutAnswer())
    peers = [cluster.peer(fault=fault) for fault in faults]
    outcome = relay.deploy(to=peers, payload=large.path)
    for peer in peers:
        peer.settle()
        with check("KIT-08", f"the requests in progress at {peer.name} after the deploy"):
            check.need(peer.live_requests, f"{peer.name} saw no request")
            assert not peer.unsettled, f"expected none, got one: {peer.unsettled}"
        record = outcome[peer]
        with check("KIT-07", f"the status of the record of {peer.name}"):
            assert record.members.get("status") in ("success", "failed")
        with check("KIT-07", f"the reason of the record of {peer.name}"):
            reason = record.members.get("reason")
            has_one = isinstance(reason, str) and reason != ""
            assert has_one or record.status != "failed", "expected a text that is not empty"
