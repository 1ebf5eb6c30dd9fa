"""How an answer is framed: read to its end in every form of HTTP, and no further."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import frozen

from harness.cluster import FakeCluster
from harness.faults.answers import (
    Answer,
    Await,
    ContentLengthOff,
    End,
    Script,
    UnfinishedChunks,
)
from harness.faults.http1 import status_line
from harness.faults.kinds import AnswerEarly, Fault
from harness.judge.cases.relay import Relay
from harness.peer.payloads import stage_payload

requirement = pytest.mark.requirement

IN_TIME = 8.0  # seconds: far from a hang, and far from a loaded machine


@frozen
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


@requirement("EARLY-10", "RES-01")
@pytest.mark.parametrize("interim", [(100,), (102, 103), (100, 100, 103)])
@pytest.mark.parametrize("status", [200, 500])
def test_interim_answers_are_passed_over(
    cluster: FakeCluster, relay: Relay, interim: tuple[int, ...], status: int
) -> None:
    peer = cluster.peer(fault=Answer(status, json={"message": "final"}, interim=interim))
    record = relay.deploy(to=[peer])[peer]
    assert record["message" if status == 200 else "reason"] == "final"


class InterimAtOnce(Answer):
    """Interim answers at once, and the final one when the upload has ended."""

    def script(self, *, keep_alive: bool) -> Script:
        yield b"".join(f"{status_line(status)}\r\n\r\n".encode() for status in (100, 103))
        yield Await.UPLOAD_ENDS
        yield from super().script(keep_alive=keep_alive)


@requirement("EARLY-10")
def test_an_interim_answer_on_the_way_does_not_end_the_upload(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    payload = stage_payload(tmp_path / "payload", 4_000_000)
    peer = cluster.peer(fault=AnswerEarly(InterimAtOnce(json={"message": "final"})))
    record = relay.deploy(to=[peer], payload=payload.path, deadline=IN_TIME)[peer]
    assert (record.status, record["message"]) == ("success", "final")
    assert peer.upload.complete


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
