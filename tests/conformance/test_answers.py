"""What the relay makes of a peer's answer: one record, whatever came."""

from __future__ import annotations

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, EndlessHead, HeadThenSilence, Pause, Script
from harness.faults.kinds import CloseWithoutAnswer, Fault, MintAnswer, ResetAfter
from harness.judge.cases.relay import Relay
from harness.targets import Limits

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine


@requirement("RES-01")
def test_a_success_holds_the_members_of_the_answer(cluster: FakeCluster, relay: Relay) -> None:
    answer: dict[str, object]
    answer = {"message": "Successfully deployed: demo", "deployment_id": "5f0c", "extra": [1, {}]}
    answer |= {"none": None, "no": False, "zero": 0, "text": "", "when": "2026-01-02T03:04:05Z"}
    answer |= {"Deep": {"Key": [None, {"At": "2026-01-02T03:04:05.600Z"}]}}
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


@requirement("RES-01", "RES-05", "RES-06")
@pytest.mark.parametrize(
    ("status", "of"), [(200, "application/json; charset=utf-8"), (200, None), (500, "text/plain")]
)
def test_json_is_known_by_its_look(
    cluster: FakeCluster, relay: Relay, status: int, of: str | None
) -> None:
    peer = cluster.peer(fault=Answer(status, body='{"message":"in JSON"}', content_type=of))
    record = relay.deploy(to=[peer])[peer]
    assert record["message" if status == 200 else "reason"] == "in JSON"


@requirement("RES-05", "RES-06", "RES-07")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, json={"error": "boom"}), "boom"),
        (Answer(500, json={"message": "mm"}), "mm"),
        (Answer(500, json={"error": None, "message": "mm"}), "mm"),
        (Answer(500, json={"error": "", "message": "mm"}), "HTTP 500"),
        (Answer(500, json={"message": ""}), "HTTP 500"),
        (Answer(500, json={"error": None, "message": None}), '{"error":null,"message":null}'),
        (Answer(500, json={"other": 1}), '{"other":1}'),
        (Answer(500), "HTTP 500"),
        (Answer(502, body="<h1>Bad\nGateway</h1>\n", content_type="text/html"), None),
        (Answer(503, body="x" * 500, content_type="text/plain"), "x" * 200),
        (Answer(503, body="é" * 500, content_type="text/plain"), "é" * 200),
        (Answer(500, json={"error": "long " * 8_000}), "long " * 8_000),
        (Answer(500, json={"error": " npm ERR!\n code 1\n"}), " npm ERR!\n code 1\n"),
        (Answer(403, json={"error": "no"}), "no"),
    ],
    ids=[
        *("error", "message", "error-null-and-message", "error-empty-and-message"),
        *("message-empty", "both-null", "neither", "empty", "html", "text-of-500"),
        *("text-of-500-beyond-ascii", "error-of-500", "error-of-lines", "error-of-403"),
    ],
)
def test_a_refusal_is_a_failed_record_with_reason_and_status(
    cluster: FakeCluster, relay: Relay, answer: Answer, reason: str | None
) -> None:
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.status_code == answer.status
    assert record.reason == (answer.content.decode() if reason is None else reason)


@requirement("RES-07")
def test_a_reason_that_is_cut_holds_whole_characters(cluster: FakeCluster, relay: Relay) -> None:
    """A character beyond the first plane is one for some languages, and two for others."""
    body = "x" + "🚀" * 300
    peer = cluster.peer(fault=Answer(503, body=body, content_type="text/plain"))
    assert relay.deploy(to=[peer])[peer].reason in {body[:100], body[:200]}


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


@requirement("HTTP-04")
@pytest.mark.parametrize(("at", "status"), [("upload", 307), ("mint", 302)])
def test_a_redirect_within_its_node_is_not_followed_either(
    cluster: FakeCluster, relay: Relay, at: str, status: int
) -> None:
    peer = cluster.peer()
    to = Answer.redirect(f"{peer.url}elsewhere", status)
    peer.fault = MintAnswer(to) if at == "mint" else to
    record = relay.deploy(to=[relay.minting(peer)])[peer]
    assert record.status == "failed"
    assert {request.target for request in peer.requests} == {peer.path}


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


@requirement("RES-02", "AGG-03")
@pytest.mark.parametrize(
    "told",
    [{"node": "somebody-else"}, {"status": "failed"}, {"node": None, "status": None}],
    ids=["another-node", "another-status", "both-null"],
)
def test_node_and_status_are_the_relays_own(
    cluster: FakeCluster, relay: Relay, told: dict[str, object]
) -> None:
    peer = cluster.peer(fault=Answer(json={"message": "done", **told}))
    [record] = relay.deploy(to=[peer]).records
    assert (record["node"], record.status, record["message"]) == (peer.name, "success", "done")


@requirement("RES-14")
def test_a_success_with_an_error_member_is_a_success_that_keeps_it(
    cluster: FakeCluster, relay: Relay
) -> None:
    peer = cluster.peer(fault=Answer(json={"message": "done", "error": "of an old deploy"}))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record["error"]) == ("success", "of an old deploy")


@requirement("RES-04")
@pytest.mark.parametrize("value", [["a", 1], [], "text", 5, 0, True, False, None], ids=repr)
def test_a_success_that_is_no_object_is_the_result(
    cluster: FakeCluster, relay: Relay, value: object
) -> None:
    peer = cluster.peer(fault=Answer(json=value))
    record = relay.deploy(to=[peer])[peer]
    assert (record.status, record["result"]) == ("success", value)


@requirement("HTTP-05")
@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 206, 299])
def test_every_status_of_the_two_hundreds_is_a_success(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    peer = cluster.peer(fault=Answer(status))
    assert relay.deploy(to=[peer])[peer].status == "success"


@requirement("HTTP-05")
@pytest.mark.parametrize("status", [200, 500])
def test_a_character_split_on_the_way_is_whole(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    text = "☃ naïve 🚀 deploy"
    peer = cluster.peer(fault=Answer(status, json={"message": text}, chunk_size=1))
    record = relay.deploy(to=[peer])[peer]
    assert record["message" if status == 200 else "reason"] == text


@requirement("HTTP-05", "RES-05", "AGG-02")
@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_is_no_utf_8_changes_nothing_of_the_status(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    body = '{"message": "größe"}'.encode("latin-1")
    peer = cluster.peer(fault=Answer(status, body=body, content_type="application/json"))
    record = relay.deploy(to=[peer])[peer]
    assert record.status == ("success" if status == 200 else "failed")
    assert record.status_code == (None if status == 200 else status)


@requirement("RES-08")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"message": "disk full", "code": 28}, "disk full"),
        ({"code": 28}, '{"code":28}'),
        (["a", "b"], '["a","b"]'),
    ],
    ids=str,
)
def test_an_error_that_is_an_object_is_readable(
    cluster: FakeCluster, relay: Relay, error: object, reason: str
) -> None:
    peer = cluster.peer(fault=Answer(500, json={"error": error}))
    assert relay.deploy(to=[peer])[peer].reason == reason


@requirement("RES-09")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, body="null", content_type="application/json"), "null"),
        (Answer(500, json="in quotes"), '"in quotes"'),
        (Answer(500, json=["a"]), '["a"]'),
        (Answer(500, json={"error": 404}), "404"),
        (Answer(500, json={"error": 0, "message": "mm"}), "0"),
    ],
    ids=["null", "text", "list", "number", "zero"],
)
def test_a_refusal_that_is_no_object_is_its_own_reason(
    cluster: FakeCluster, relay: Relay, answer: Answer, reason: str
) -> None:
    peer = cluster.peer(fault=answer)
    assert relay.deploy(to=[peer])[peer].reason == reason


class ForEver(Answer):
    """An answer that goes on and on, a byte at a time."""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive)
        while True:
            yield b"1\r\nx\r\n"
            yield Pause(0.1)


@requirement("HTTP-03")
@pytest.mark.parametrize(
    "fault",
    [
        HeadThenSilence(Answer(json={"message": "done"})),
        EndlessHead(),
        ForEver(chunk_size=1),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_an_answer_without_an_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer], limits=Limits(answer=0.5), deadline=IN_TIME)[peer]
    assert record.status == "failed"
    assert record.reason


@requirement("RES-01", "HTTP-06")
def test_an_encoded_answer_is_never_taken_for_text(cluster: FakeCluster, relay: Relay) -> None:
    """A relay that asks for no encoding may undo one, or not; the status counts either way."""
    peer = cluster.peer(fault=Answer(json={"message": "done"}).gzipped())
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "success"
    if "gzip" in (peer.upload.header("accept-encoding") or ""):
        assert record["message"] == "done"
