"""All peers at once, each on its own: the happy path, and one peer failing among three."""

from __future__ import annotations

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer
from harness.faults.kinds import CloseWithoutAnswer, Fault, ResetAfter, mint_refused
from harness.judge.cases.relay import Relay
from harness.peer.payloads import Payload

requirement = pytest.mark.requirement


@requirement("SEQ-03", "FLD-08")
def test_every_peer_receives_the_staged_payload_whole(
    cluster: FakeCluster, relay: Relay, payload: Payload
) -> None:
    peers = [cluster.peer() for _ in range(3)]
    outcome = relay.deploy(to=peers)
    assert outcome.statuses == ["success"] * 3
    for peer in peers:
        file = peer.upload.file
        assert file is not None
        assert (file.length, file.sha256) == (payload.size, payload.sha256)


ODD_NAMES = [("b", "10", "9"), ("b", "2", "__proto__", 'ü \n"☃')]


@requirement("AGG-01")
@pytest.mark.parametrize("names", [("node-b", "node-c", "node-a"), *ODD_NAMES], ids=ascii)
def test_records_come_in_node_order(
    cluster: FakeCluster, relay: Relay, names: tuple[str, ...]
) -> None:
    """Tables of some languages have an order of their own for numbers, or names they mistake."""
    peers = [cluster.peer(name) for name in names]
    peers[0].fault = Answer.error(500, "the first to answer is not the first to settle")
    assert relay.deploy(to=peers).nodes == list(names)


@requirement("AGG-01", "AGG-05")
def test_a_deploy_to_no_nodes_has_no_records(relay: Relay) -> None:
    assert relay.deploy(to=[]).records == ()


@requirement("SEQ-08")
def test_each_peer_mints_its_own_token(cluster: FakeCluster, relay: Relay) -> None:
    peers = [cluster.peer() for _ in range(3)]
    relay.deploy(to=map(relay.minting, peers))
    for peer in peers:
        assert peer.upload.token == peer.mints[-1].token


@requirement("AGG-04")
@pytest.mark.parametrize(
    "fault",
    [
        Answer.error(500, "boom"),
        ResetAfter(70_000),
        CloseWithoutAnswer(),
        mint_refused(),
    ],
    ids=lambda fault: type(fault).__name__,
)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_one_failing_peer_leaves_the_others_untouched(
    cluster: FakeCluster, relay: Relay, payload: Payload, fault: Fault, failing: int
) -> None:
    peers = [cluster.peer(fault=fault if i == failing else None) for i in range(3)]
    outcome = relay.deploy(to=peers)
    for peer in peers:
        if peer.fault is None:
            assert outcome[peer].status == "success"
            assert outcome[peer]["message"] == "Successfully deployed: demo"
            assert peer.upload.file is not None
            assert peer.upload.file.sha256 == payload.sha256
        else:
            assert outcome[peer].status == "failed"


DEEP = 100_000


@requirement("AGG-02", "AGG-04")
@pytest.mark.parametrize("body", ["[" * DEEP, '{"a":' * DEEP], ids=["lists", "objects"])
def test_an_answer_nested_too_deeply_costs_one_record(
    cluster: FakeCluster, relay: Relay, payload: Payload, body: str
) -> None:
    """Most readers of JSON fail at such depth before they see that the text has no end."""
    deep = cluster.peer(fault=Answer(body=body, content_type="application/json"))
    other = cluster.peer()
    outcome = relay.deploy(to=[deep, other])
    assert outcome.nodes == [deep.name, other.name]
    assert outcome[deep].status in {"success", "failed"}
    assert outcome[other].status == "success"
    assert outcome[other]["message"] == "Successfully deployed: demo"
    assert other.upload.file is not None
    assert other.upload.file.sha256 == payload.sha256
