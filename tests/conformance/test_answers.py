"""What the relay makes of a peer's answer: one record, whatever came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.answers import Answer
from harness.faults import CloseWithoutAnswer, Fault, ResetAfter

if TYPE_CHECKING:
    from harness.cluster import FakeCluster
    from harness.targets import Relay

requirement = pytest.mark.requirement


@requirement("RES-01")
def test_a_success_holds_the_members_of_the_answer(cluster: FakeCluster, relay: Relay) -> None:
    answer = {"message": "Successfully deployed: demo", "deployment_id": "5f0c", "extra": [1, {}]}
    peer = cluster.peer(fault=Answer(json=answer))
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "success"
    assert {name: record[name] for name in answer} == answer


@requirement("RES-03")
@pytest.mark.parametrize("body", ["", "deployed\n", "<p>fine</p>"])
def test_a_success_that_is_not_json_has_the_body_as_its_message(
    cluster: FakeCluster, relay: Relay, body: str
) -> None:
    peer = cluster.peer(fault=Answer(body=body, content_type="text/plain"))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record["message"]) == ("success", body)


@requirement("RES-05", "RES-06", "RES-07")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, json={"error": "boom"}), "boom"),
        (Answer(500, json={"message": "mm"}), "mm"),
        (Answer(500, json={"error": None, "message": "mm"}), "mm"),
        (Answer(500, json={"error": "", "message": "mm"}), "HTTP 500"),
        (Answer(500, json={"other": 1}), '{"other":1}'),
        (Answer(500), "HTTP 500"),
        (Answer(502, body="<h1>Bad Gateway</h1>", content_type="text/html"), None),
        (Answer(503, body="x" * 500, content_type="text/plain"), "x" * 200),
        (Answer(500, json={"error": "long " * 100}), "long " * 100),
        (Answer(403, json={"error": "no"}), "no"),
    ],
    ids=lambda value: f"{value.status}-{value.content[:24]!r}" if isinstance(value, Answer) else "",
)
def test_a_refusal_is_a_failed_record_with_reason_and_status(
    cluster: FakeCluster, relay: Relay, answer: Answer, reason: str | None
) -> None:
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.status_code == answer.status
    assert record.reason == (answer.content.decode() if reason is None else reason)


@requirement("HTTP-04")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    other = cluster.peer("other")
    peer = cluster.peer(fault=Answer(status, headers=(("Location", other.url),)))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record.status_code) == ("failed", status)
    assert other.requests == []


@requirement("RES-10")
@pytest.mark.parametrize(
    "fault", [CloseWithoutAnswer(), ResetAfter(70_000)], ids=lambda fault: type(fault).__name__
)
def test_a_connection_lost_is_a_failed_record_without_a_status(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason
    assert "statusCode" not in record
