"""What the relay makes of a peer's answer: one record, whatever came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from harness.answers import (
    Answer,
    ContentLengthOff,
    End,
    EndlessHead,
    HeadThenSilence,
    UnfinishedChunks,
)
from harness.faults import CloseWithoutAnswer, Fault, ResetAfter
from harness.targets import Limits

if TYPE_CHECKING:
    from harness.answers import Script
    from harness.cluster import FakeCluster
    from harness.targets.relay import Relay

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine


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
        (Answer(503, body="é" * 500, content_type="text/plain"), "é" * 200),
        (Answer(500, json={"error": "long " * 100}), "long " * 100),
        (Answer(403, json={"error": "no"}), "no"),
    ],
    ids=[
        *("error", "message", "error-null-and-message", "error-empty-and-message", "neither"),
        *(
            "empty",
            "html",
            "text-of-500",
            "text-of-500-beyond-ascii",
            "error-of-500",
            "error-of-403",
        ),
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


@dataclass(frozen=True)
class Raw(Answer):
    """An answer as it goes on the wire; one without a length ends with its connection."""

    wire: bytes = b""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.wire
        if not keep_alive or b"length" not in self.wire.lower():
            yield End.CLOSE


JSON = b'{"message":"final"}'


@requirement("HTTP-05", "RES-01")
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + JSON,
        b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + JSON,
        b"HTTP/1.1 200 \r\nCONTENT-LENGTH:19\r\n\r\n" + JSON,
        b"HTTP/1.1 299 " + b"very " * 50 + b"good\r\ncontent-length:   19  \r\n\r\n" + JSON,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: X-Length\r\n\r\n"
        b'0013;name="a;b"\r\n' + JSON + b"\r\n000\r\nX-Length: 19\r\n\r\n",
    ],
    ids=["to-its-end", "http-1.0", "no-phrase", "long-phrase", "extension-and-trailer"],
)
def test_an_answer_is_read_in_every_form_that_http_has(
    cluster: FakeCluster, relay: Relay, wire: bytes
) -> None:
    """Proxies and older servers frame their answers as a node does not (RFC 9112)."""
    peer = cluster.peer(fault=Raw(wire=wire))
    record = relay.deploy(to=[peer], deadline=IN_TIME)[peer]
    assert (record.status, record["message"]) == ("success", "final")


@requirement("HTTP-05", "RES-03")
@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_never_has_a_body_is_whole_without_a_length(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    """RFC 9112 section 6.3: nothing comes behind the head, and the connection stays open."""
    wire = f"HTTP/1.1 {status} X\r\nX-No-Length: here\r\n\r\n".encode()
    peer = cluster.peer(fault=Raw(status, wire=wire))
    record = relay.deploy(to=[peer], deadline=IN_TIME)[peer]
    assert record.status == ("success" if status == 204 else "failed")
    assert record.status_code == (None if status == 204 else status)


@requirement("RES-12")
@pytest.mark.parametrize("wire", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nDate: x\r\nCont"])
def test_a_head_that_breaks_off_is_no_answer(
    cluster: FakeCluster, relay: Relay, wire: bytes
) -> None:
    """Some readers of HTTP take the end of the connection for the end of the head."""
    peer = cluster.peer(fault=Raw(wire=wire.replace(b"length", b"")))
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason


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
    ],
    ids=["null", "text", "list", "number"],
)
def test_a_refusal_that_is_no_object_is_its_own_reason(
    cluster: FakeCluster, relay: Relay, answer: Answer, reason: str
) -> None:
    peer = cluster.peer(fault=answer)
    assert relay.deploy(to=[peer])[peer].reason == reason


@requirement("EARLY-10", "RES-01")
@pytest.mark.parametrize("interim", [(100,), (102, 103), (100, 100, 103)])
@pytest.mark.parametrize("status", [200, 500])
def test_interim_answers_are_passed_over(
    cluster: FakeCluster, relay: Relay, interim: tuple[int, ...], status: int
) -> None:
    peer = cluster.peer(fault=Answer(status, json={"message": "final"}, interim=interim))
    record = relay.deploy(to=[peer])[peer]
    assert record["message" if status == 200 else "reason"] == "final"


@requirement("RES-12")
@pytest.mark.parametrize(
    "fault",
    [
        ContentLengthOff(Answer(json={"message": "done"}), by=1000),
        ContentLengthOff(Answer(500, json={"error": "no"}), by=1),
        UnfinishedChunks(Answer(json={"message": "done"})),
        UnfinishedChunks(Answer(json={"message": "done"}), end="reset"),
    ],
    ids=["length-of-200", "length-of-500", "chunks-then-fin", "chunks-then-rst"],
)
def test_an_answer_that_breaks_off_is_a_failed_record(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer])[peer]
    assert record.status == "failed"
    assert record.reason


@requirement("HTTP-03")
@pytest.mark.parametrize(
    "fault",
    [HeadThenSilence(Answer(json={"message": "done"})), EndlessHead()],
    ids=lambda fault: type(fault).__name__,
)
def test_an_answer_without_an_end_is_given_up_in_time(
    cluster: FakeCluster, relay: Relay, fault: Fault
) -> None:
    peer = cluster.peer(fault=fault)
    record = relay.deploy(to=[peer], limits=Limits(answer=0.5), deadline=IN_TIME)[peer]
    assert record.status == "failed"
    assert record.reason


@requirement("BUG-30", "RES-05")
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("chunk_size", [None, 1_000_000], ids=["length", "chunked"])
def test_an_answer_of_a_hundred_megabytes_is_one_short_record(
    cluster: FakeCluster, relay: Relay, status: int, chunk_size: int | None
) -> None:
    """Nobody needs that much; a relay may stop reading, and keeps little of it in any case."""
    block = b"there is no end to this error; " * 33_000
    times = 100 if chunk_size is None else 5
    answer = Answer(status, body=block, times=times, content_type="text/plain")
    peer = cluster.peer(fault=answer)
    record = relay.deploy(to=[peer])[peer]
    assert sum(len(str(value)) for value in record.members.values()) < 2_000_000
    if status == 500:
        assert (record.status, record.status_code) == ("failed", 500)


@requirement("RES-01", "HTTP-06")
def test_an_encoded_answer_is_never_taken_for_text(cluster: FakeCluster, relay: Relay) -> None:
    """A relay that asks for no encoding may undo one, or not; the status counts either way."""
    peer = cluster.peer(fault=Answer(json={"message": "done"}).gzipped())
    assert relay.deploy(to=[peer])[peer].status == "success"
