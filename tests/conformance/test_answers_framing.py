"""How the relay finds the end of an answer, in every form of HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from attrs import frozen

from deploy_relay_kit.harness import (
    Answer,
    AnswerEarly,
    ContentLengthOff,
    End,
    FakeCluster,
    Fault,
    MintAnswer,
    UnfinishedChunks,
    stage_payload,
)
from deploy_relay_kit.harness.faults.answers import Await, Pause, Script
from deploy_relay_kit.harness.faults.http1 import status_line
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import IN_TIME
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.cases.uploads import need_message


@frozen
class Raw(Answer):
    """An answer with exactly these bytes; without a length, the connection ends it."""

    wire: bytes = b""

    def script(self, *, keep_alive: bool) -> Script:
        yield self.wire
        if not keep_alive or not re.search(b"(?i)length|^HTTP/1.1 [23]04", self.wire):
            yield End.CLOSE


JSON = b'{"message":"final"}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def forms(body: bytes) -> dict[str, bytes]:
    """A success with this body of JSON in every form of HTTP."""
    size, rest = len(body), len(body) - 11
    ok, length = b"HTTP/1.1 200 OK\r\n", b"Content-Length: %d\r\n\r\n" % size
    chunk = b"%x\r\n%b\r\n" % (size, body)
    return {
        "to-its-end": ok + b"Connection: close\r\n\r\n" + body,
        "http-1.0": b"HTTP/1.0 200 OK\r\nContent-Type:\tapplication/json\t\r\n\r\n" + body,
        "no-phrase": b"HTTP/1.1 200 \r\nCONTENT-LENGTH:%d\r\n\r\n%b" % (size, body),
        "long-phrase": b"HTTP/1.1 299 %bgood\r\ncontent-length:   %d  \r\n\r\n%b"
        % (b"very " * 50, size, body),
        "extension-and-trailer": ok + b"Transfer-Encoding: Chunked\r\nTrailer: X-Length\r\n\r\n"
        b'00%x;name="a;b"\r\n%b\r\n000\r\nX-Length: 19\r\n\r\n' % (size, body),
        "extension-of-the-last-chunk": CHUNKED
        + b"%x;a\r\n%b\r\n0;last;of=two\r\n\r\n" % (size, body),
        "length-in-capitals": CHUNKED
        + b"B\r\n%b\r\n%X\r\n%b\r\n0\r\n\r\n" % (body[:11], rest, body[11:]),
        "length-in-small-letters": CHUNKED
        + b"a\r\n%b\r\n%016x\r\n%b\r\n0\r\n\r\n" % (body[:10], rest + 1, body[10:]),
        "long-head": ok + b"Set-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nVary: A\r\nVary: B\r\n"
        b"X-Note: na\xefve \xc3\xbc\r\nX-Nothing:\r\nX-Long: %b\r\n"
        % (b"0123456789" * 300)
        + b"".join(b"X-Line-%d: %d\r\n" % (it, it) for it in range(60))
        + length
        + body,
        "names-and-values-of-every-kind": b"HTTP/1.1 200 Tr\xc3\xa8s bien\r\nX_Under.Score!*: 1\r\n"
        b'ETag: "a:b"\r\nAlt-Svc: h3=":443"; ma=60\r\nUpgrade: h2c\r\nX-Longer: %b\r\n'
        b"Content-Length: 00%d\r\n\r\n%b" % (b"0123456789" * 500, size, body),
        "two-trailers": CHUNKED + chunk + b"0\r\nX-A: 1\r\nX-B:\r\n\r\n",
        "interim-answers-with-headers": b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n"
        b"Link: </b>\r\n\r\nHTTP/1.1 102 \r\nX-Wait: 1\r\n\r\nHTTP/1.1 199 \r\n\r\n"
        + (ok + length + body),
        # What follows the answer to the only request belongs to nothing (RFC 9112 §6.3).
        "more-than-its-length": ok + length + body + b"}\n",
        "more-after-its-last-chunk": ok
        + b"Transfer-Encoding: chunked\r\nX-Length: 19\r\n\r\n"
        + chunk
        + b"0\r\n\r\nHTTP/1.1 500 No\r\n\r\n",
    }


FORMS = forms(JSON)


@pytest.mark.parametrize("wire", FORMS.values(), ids=FORMS)
def test_an_answer_is_read_in_every_form_of_http(
    cluster: FakeCluster, relay: Relay, check: Checks, wire: bytes
) -> None:
    """A success, a refusal and a mint are read in every form of HTTP (RFC 9112).

    Proxies and older servers frame their answers in another way than a node.
    """
    form = next(name for name, it in FORMS.items() if it == wire)
    peer, minting = cluster.peer(fault=Raw(wire=wire)), cluster.peer()
    refusing = cluster.peer(fault=Raw(403, wire=re.sub(rb"(HTTP/1.. )2..", rb"\g<1>403", wire)))
    token = json.dumps({"operation_token": minting.tokens.issue(minting.username)}).encode()
    minting.fault = MintAnswer(Raw(wire=forms(token)[form]))
    mints = "mint.operations" in relay.target.capabilities
    with check("HTTP-05", "the end of the deploy"):
        outcome = relay.deploy(to=[peer, refusing, *[minting] * mints], deadline=IN_TIME)
    with check("HTTP-05", "the status of the record"):
        assert outcome[peer].status == "success"
    check.need(outcome[peer].status == "success", "the record is not a success")
    with check("RES-01", "the message of the record"):
        assert outcome[peer]["message"] == "final"
    with check("RES-05", "the status code and the reason of a refusal in this form"):
        assert (outcome[refusing].status_code, outcome[refusing].reason) == (403, "final")
    if mints:
        with check("MINT-02", "the number of uploads after a mint that is answered in this form"):
            assert len(minting.uploads) == 1


@pytest.mark.parametrize(
    ("status", "header"),
    [(204, "X-No-Length: 1"), (304, "X-No-Length: 1"), (304, "Content-Length: 9")],
)
def test_an_answer_that_never_has_a_body_is_complete_without_a_length(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int, header: str
) -> None:
    """An answer 204 or 304 ends with its head, and the connection stays open (RFC 9112 §6.3)."""
    wire = f"HTTP/1.1 {status} X\r\n{header}\r\n\r\n".encode()
    peer = cluster.peer(fault=Raw(status, wire=wire))
    with check("HTTP-05" if status == 204 else "RES-05", "the end of the deploy"):
        outcome = relay.deploy(to=[peer], deadline=IN_TIME)
    if status == 204:
        with check("HTTP-05", "the status of the record"):
            assert outcome[peer].status == "success"
    else:
        with check("RES-05", "the status of the record"):
            assert outcome[peer].status == "failed"
        with check("RES-05", "the status code of the record"):
            assert outcome[peer].status_code == status


@pytest.mark.parametrize("wire", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nDate: x\r\nCont"])
def test_a_head_that_breaks_off_is_no_answer(
    cluster: FakeCluster, relay: Relay, check: Checks, wire: bytes
) -> None:
    """A head that breaks off is a failed record.

    Some readers of HTTP take the end of the connection for the end of the head.
    """
    peer = cluster.peer(fault=Raw(wire=wire.replace(b"length", b"")))
    with check("RES-12", "the end of the deploy"):
        outcome = relay.deploy(to=[peer])
    with check("RES-12", "the status of the record"):
        assert outcome[peer].status == "failed"


@pytest.mark.parametrize("interim", [(100,), (102, 103), (100, 100, 103, 150, 199), (103,) * 20])
@pytest.mark.parametrize("status", [200, 500])
def test_interim_answers_are_skipped(
    cluster: FakeCluster, relay: Relay, check: Checks, interim: tuple[int, ...], status: int
) -> None:
    """Interim answers are skipped, and the final answer makes the record."""
    peer = cluster.peer(fault=Answer(status, json={"message": "final"}, interim=interim))
    with check("EARLY-10", "the end of the deploy"):
        outcome = relay.deploy(to=[peer])
    record = outcome[peer]
    if status == 200:
        with check("EARLY-10", "the status of the record"):
            assert record.status == "success"
        with check("RES-01", "the message of the record"):
            check.need(record.status == "success", "the record is not a success")
            assert record["message"] == "final"
    else:
        with check("EARLY-10", "the status of the record"):
            assert record.status == "failed"
        with check("EARLY-10", "the status code of the record"):
            check.need(record.status == "failed", "the record is a success")
            assert record.status_code == 500
        with check("RES-06", "the reason of the record"):
            check.need(record.status_code == 500, "the final answer does not make the record")
            assert record.reason == "final"


class InterimAtOnce(Answer):
    """Interim answers at once, and the final one when the upload has ended."""

    def script(self, *, keep_alive: bool) -> Script:
        yield b"".join(f"{status_line(status)}\r\n\r\n".encode() for status in (100, 103))
        yield Await.UPLOAD_ENDS
        yield from super().script(keep_alive=keep_alive)


def test_an_interim_answer_during_the_upload_does_not_end_it(
    cluster: FakeCluster, relay: Relay, check: Checks, tmp_path: Path
) -> None:
    """An interim answer during the upload does not end the upload."""
    payload = stage_payload(tmp_path / "payload", 4_000_000)
    peer = cluster.peer(fault=AnswerEarly(InterimAtOnce(json={"message": "final"})))
    with check("EARLY-10", "the end of the deploy"):
        outcome = relay.deploy(to=[peer], payload=payload.path, deadline=IN_TIME)
    with check("EARLY-10", "the upload after the interim answer"):
        upload = peer.upload
        assert upload.complete, f"expected a whole body, got {upload.reader.received:,} bytes"
    with check("EARLY-10", "the status of the record"):
        assert outcome[peer].status == "success"
    with check("RES-01", "the message of the record"):
        check.need(outcome[peer].status == "success", "the record is not a success")
        assert outcome[peer]["message"] == "final"


DONE = Answer(json={"message": "done"})
STREAMED = CHUNKED.replace(b"\r\n", b"\r\nContent-Type: text/event-stream\r\n", 1)
BROKEN_OFF: dict[str, Fault] = {
    "length-of-200": ContentLengthOff(DONE, by=1000),
    "length-of-500": ContentLengthOff(Answer(500, json={"error": "no"}), by=1),
    "length-of-201": ContentLengthOff(Answer(201, json={"message": "done"}), by=5),
    "length-but-one-byte": ContentLengthOff(DONE, by=1),
    "length-of-a-text": ContentLengthOff(Answer(299, body="done"), by=2),
    "chunks-of-202-then-fin": UnfinishedChunks(Answer(202, json={"message": "done"})),
    "chunks-of-a-text-then-rst": UnfinishedChunks(Answer(203, body="done"), end="reset"),
    "length-of-a-long-list": ContentLengthOff(Answer(json=["done"] * 9_000), by=9),
    "length-of-no-body": ContentLengthOff(Answer(), by=1000),
    "chunks-then-fin": UnfinishedChunks(DONE),
    "chunks-then-rst": UnfinishedChunks(DONE, end="reset"),
    "no-chunk": Raw(wire=CHUNKED),
    "half-a-length": Raw(wire=CHUNKED + b"1"),
    "half-a-chunk": Raw(wire=CHUNKED + b"ff\r\n" + JSON),
    "no-end-of-a-chunk": Raw(wire=CHUNKED + b"13\r\n" + JSON),
    "an-event-without-data": Raw(wire=STREAMED + b"c\r\nevent: done\n\r\n"),
    "half-the-data-of-an-event": Raw(wire=STREAMED + b'18\r\nevent: done\ndata: {"mess\r\n'),
    "an-event-without-its-end": Raw(
        wire=STREAMED + b"26\r\nevent: done\ndata: " + JSON + b"\n\r\n"
    ),
}


def test_an_answer_that_breaks_off_is_a_failed_record(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """An answer that ends before its announced length, or without a last chunk, is a failure."""
    peers = {name: cluster.peer(fault=fault) for name, fault in BROKEN_OFF.items()}
    with check("RES-12", "the end of the deploy"):
        outcome = relay.deploy(to=peers.values())
    for name, peer in peers.items():
        with check("RES-12", f"the status of the record of an answer with {name}"):
            assert outcome[peer].status == "failed"


@frozen
class BrokenLater(Answer):
    """Chunks whose framing breaks a moment after the head; the connection stays open."""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield f"{status_line(self.status)}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        yield b"7\r\n" + JSON[:7] + b"\r\n"
        yield Pause(0.1)
        yield b"no size\r\n"
        yield End.SILENCE


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_whose_framing_breaks_is_not_waited_for(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int
) -> None:
    """An answer whose chunks break after its head is a failure at once.

    Some readers of HTTP wait for the rest up to the limit of an answer.
    """
    peer = cluster.peer(fault=BrokenLater(status))
    with check("RES-12", "the end of the deploy"):
        outcome = relay.deploy(to=[peer], deadline=IN_TIME)
    with check("RES-12", "the status of the record"):
        assert outcome[peer].status == "failed"


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("chunk_size", [None, 1_000_000], ids=["length", "chunked"])
def test_an_answer_of_a_hundred_megabytes_is_one_short_record(
    cluster: FakeCluster, relay: Relay, check: Checks, status: int, chunk_size: int | None
) -> None:
    """An answer of 30 MB or 100 MB makes a record of fewer than 20,000,000 characters.

    The limit is the relay's own: it may stop reading, and it keeps only a part.
    """
    block = b"there is no end to this error; " * 33_000
    times = 100 if chunk_size is None else 30
    answer = Answer(status, body=block, times=times, content_type="text/plain")
    peer = cluster.peer(fault=answer)
    with check("BUG-30", "the end of the deploy"):
        outcome = relay.deploy(to=[peer])
    record = outcome[peer]
    need_message(cluster, relay)
    with check("BUG-30", "the characters of the record"):
        assert sum(len(str(value)) for value in record.members.values()) < 20_000_000
    if status == 500:
        with check("RES-05", "the status of the record"):
            assert record.status == "failed"
        with check("RES-05", "the status code of the record"):
            assert record.status_code == 500
