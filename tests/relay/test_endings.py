"""How a peer ends its answer over TLS, and what the record says of it (RFC 9112, 9.8)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.relay.link import Link
from tests.relay.rawpeers import listening
from tests.relay.tlspeer import BAD_RECORD, TlsPeer, record_of

OK = b"HTTP/1.1 200 OK\r\n"
EVENTS = OK + b"Content-Type: text/event-stream\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
DONE = b'event: done\ndata: {"result":{"message":"deployed"}}\n'
WHOLE = b'{"message":"deployed"}'

ANSWERS = {
    "none": b"",
    "length": OK + b"Content-Length: 22\r\n\r\n" + WHOLE,
    "chunks": OK + CHUNKED + b"16\r\n" + WHOLE + b"\r\n0\r\n\r\n",
    "until the end": OK + b"\r\n" + WHOLE,
    "until the end, cut": OK + b"\r\n" + WHOLE[:15],
    "length, cut": OK + b"Content-Length: 22\r\n\r\n" + WHOLE[:15],
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "events": EVENTS + b"\r\n" + DONE + b"\n",
    "events, cut": EVENTS + b"\r\n" + DONE,
    "refusal": b"HTTP/1.1 403 No\r\nContent-Length: 14\r\n\r\n" + b'{"error":"no"}',
    "refusal, cut": b"HTTP/1.1 403 No\r\n\r\n" + b'{"error":"n',
}
ENDS = ("close_notify", "FIN", "bad record")

SUCCESS: dict[str, object] = {"status": "success", "message": "deployed"}
UNCERTAIN: dict[str, object] = {"status": "failed", "stage": "answer", "uncertain": True}
REFUSED: dict[str, object] = {"status": "failed", "statusCode": 403, "reason": "no"}
BROKEN_REFUSAL: dict[str, object] = {"status": "failed", "statusCode": 403}

Expected = dict[str, object]

# With close_notify, and without.
EXPECTED: dict[str, tuple[Expected, Expected]] = {
    "until the end": (SUCCESS, UNCERTAIN),
    # Closed as it should be: all that the peer had to say.
    "until the end, cut": ({"status": "success", "message": '{"message":"dep'}, UNCERTAIN),
    "events, cut": (SUCCESS, UNCERTAIN),
    "refusal, cut": ({**REFUSED, "reason": '{"error":"n'}, BROKEN_REFUSAL),
    "none": (UNCERTAIN, UNCERTAIN),
    "length": (SUCCESS, SUCCESS),
    "chunks": (SUCCESS, SUCCESS),
    "length, cut": (UNCERTAIN, UNCERTAIN),
    "no body": ({"status": "success"}, {"status": "success"}),
    "events": (SUCCESS, SUCCESS),
    "refusal": (REFUSED, REFUSED),
}


@pytest.mark.parametrize("pause", [None, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("form", ANSWERS)
def test_the_record_follows_from_what_the_peer_sent_and_not_from_timing(
    relay_authority: Authority, package: Path, form: str, end: str, pause: float | None
) -> None:
    async def peer(tls: TlsPeer) -> None:
        await tls.read_upload()
        if form != "none":
            tls.write(ANSWERS[form])
        if pause is not None:
            await tls.flush()
            await asyncio.sleep(pause)  # a peer that ends its answer later
        if end == "close_notify":
            tls.close_notify()
        elif end == "bad record":
            tls.write_raw(BAD_RECORD)
        await tls.flush()

    record = asyncio.run(record_of(peer, relay_authority, package))
    closed, broken = EXPECTED[form]
    expected = closed if end == "close_notify" else broken
    assert {name: record.get(name) for name in expected} == expected, record


def test_a_record_that_breaks_before_the_body_is_sent_is_not_uncertain(
    relay_authority: Authority, package: Path
) -> None:
    package.write_bytes(bytes(64_000_000))

    async def peer(tls: TlsPeer) -> None:
        await tls.handshake()
        tls.write_raw(BAD_RECORD)
        await tls.flush()
        await tls.drain()

    record = asyncio.run(record_of(peer, relay_authority, package))
    assert record["stage"] == "tls", record  # whichever side of aiohttp sees it first
    assert "uncertain" not in record


def test_a_client_certificate_that_is_missing_is_the_reason_also_before_the_request(
    relay_authority: Authority, package: Path
) -> None:
    """In TLS 1.3 the peer says so after the handshake, and the client may still be writing."""

    async def peer(tls: TlsPeer) -> None:
        tls.require_a_certificate()
        with pytest.raises(ssl.SSLError):
            await tls.handshake()
        await tls.flush()

    record = asyncio.run(record_of(peer, relay_authority, package))
    assert record["stage"] == "tls", record
    assert record["reason"].endswith("; it requires a client certificate")
    assert "uncertain" not in record


@pytest.mark.parametrize("pause", [None, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("form", ["length", "chunks", "no body", "refusal"])
@pytest.mark.parametrize("more", [b"abcd", b"HTTP/1.1 500 No\r\n\r\n", b"\r\n\r\n\0" * 999])
def test_what_follows_an_answer_does_not_change_it(
    relay_authority: Authority, package: Path, form: str, more: bytes, pause: float | None
) -> None:
    async def peer(tls: TlsPeer) -> None:
        await tls.read_upload()
        tls.write(ANSWERS[form])
        if pause is not None:
            await tls.flush()
            await asyncio.sleep(pause)  # a peer that goes on later
        tls.write(more)
        await tls.flush()

    record = asyncio.run(record_of(peer, relay_authority, package))
    expected, _ = EXPECTED[form]
    assert {name: record.get(name) for name in expected} == expected, record


@pytest.mark.parametrize("status", [101, 304])
def test_a_refusal_without_a_body_is_whole(
    relay_authority: Authority, package: Path, status: int
) -> None:
    async def peer(tls: TlsPeer) -> None:
        await tls.read_upload()
        tls.write(b"HTTP/1.1 %d X\r\n\r\n" % status)
        await tls.flush()

    record = asyncio.run(record_of(peer, relay_authority, package))
    assert (record["reason"], record["statusCode"]) == (f"HTTP {status}", status)


@pytest.mark.parametrize("pause", [None, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("head", "begin", "expected"),
    [
        (OK, b"", UNCERTAIN),
        (OK, b"3\r\n{} \r\n", UNCERTAIN),
        (OK, b"2\r\n{}", UNCERTAIN),
        (OK, b"0\r\n", UNCERTAIN),
        (b"HTTP/1.1 403 No\r\n", b"2\r\n{}\r\n", BROKEN_REFUSAL),
        (EVENTS, b"2\r\n:\n\r\n", UNCERTAIN),
        (EVENTS, b"%x\r\n%b\n\r\n" % (len(DONE) + 1, DONE), SUCCESS),
    ],
)
def test_a_body_whose_framing_breaks_has_ended(  # noqa: PLR0917  what the peer does
    relay_authority: Authority,
    package: Path,
    head: bytes,
    begin: bytes,
    expected: Expected,
    end: str,
    pause: float | None,
) -> None:
    """The parser of aiohttp says so to nobody who waits for more of the body."""

    async def peer(tls: TlsPeer) -> None:
        await tls.read_upload()
        tls.write(head + CHUNKED + begin)
        if pause is not None:
            await tls.flush()
            await asyncio.sleep(pause)  # a peer whose answer breaks later
        tls.write(b"\0no size\r\n")
        await tls.flush()
        if end == "FIN":
            return
        if end == "bad record":
            tls.write_raw(BAD_RECORD)
            await tls.flush()
        await tls.drain()

    record = asyncio.run(record_of(peer, relay_authority, package))
    assert {name: record.get(name) for name in expected} == expected, record
    if expected is not SUCCESS:
        assert "the answer was cut short: " in record["reason"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-x\r\n", "Bad status line: Expected HTTP/, RTSP/ or ICE/"),
        (OK + b"Content-Length: 5, 6\r\n\r\n", "Invalid character in Content-Length"),
        (OK + b"X: a-token\0\r\n\r\n", "Invalid HTTP header"),
        (OK + b"X: " + b"a-token" * 2_000, "Got more than 8190 bytes when reading"),
        (b"HTTP/1.1 a-token\r\n\r\n", "Bad status line: Invalid status code"),
        (OK + b"X: y\r\n" * 200, "Too many headers received"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_no_http_is_not_quoted(
    relay_authority: Authority, package: Path, answer: bytes, why: str
) -> None:
    """Half of a token may have come, which is not recognised as one."""

    async def peer(tls: TlsPeer) -> None:
        await tls.read_upload()
        tls.write(answer)
        await tls.flush()
        await tls.drain()

    record = asyncio.run(record_of(peer, relay_authority, package))
    assert record["reason"].partition("the answer is not HTTP: ")[2] == why


def test_without_tls_the_end_of_the_connection_is_the_end_of_an_answer(package: Path) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(ANSWERS["until the end"])

    async def run() -> relay.Record:
        async with listening(peer) as address:
            url = f"http://{address}/"
            node = relay.Node("n", url, mint=relay.GivenToken("t"))
            request = {"operation": "deploy_component", "project": "demo"}
            return (await relay.deploy([node], request, package)).records[0]

    assert asyncio.run(run())["message"] == "deployed"


class Held(asyncio.Protocol):
    """Like the protocol of aiohttp, whose parser keeps what a slow reader has not taken."""

    _reading_paused = True

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()


def test_the_end_of_a_connection_waits_for_a_slow_reader() -> None:
    async def read() -> None:
        ours, theirs = socket.socketpair()
        make = asyncio.get_running_loop().create_connection
        transport, held = await make(Held, sock=ours)
        Link(transport)
        with theirs:
            theirs.sendall(WHOLE)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await held.ended.wait()
        assert held.received == WHOLE
        held._reading_paused = False
        async with asyncio.timeout(10):
            await held.ended.wait()

    asyncio.run(read())
