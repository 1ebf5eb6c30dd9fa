"""The relay's own transport against the TLS server of asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.relay import connection, link
from deploy_relay_kit.relay.handshake import start_tls
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.tlstransport import TlsTransport
from tests.relay.driving import DEPLOY
from tests.relay.rawpeers import LAST_CHUNK, OK, listening

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
AUTHORITY = Authority()


class Client(asyncio.Protocol):
    """Keeps what happens."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_paused = False
        self.has_eof = False
        self.changed = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.changed.set()

    def eof_received(self) -> None:
        self.has_eof = True

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        self.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def connected(
    serve: Serve, tmp_path: Path, make: Callable[[], Client] = Client
) -> AsyncIterator[tuple[TlsTransport, Client]]:
    ca_file = AUTHORITY.write(tmp_path / "ca.pem")
    [context] = contexts_for([(ca_file, True)], Tls())
    async with listening(serve, AUTHORITY.server_context("127.0.0.1")) as address:
        host, _, port = address.partition(":")
        plain = socket.create_connection((host, int(port)))
        client = make()
        transport = await start_tls(plain, context, host, client)
        try:
            yield transport, client
        finally:
            transport.abort()
            async with asyncio.timeout(20):
                await client.lost


@pytest.mark.parametrize("seed", range(4))
def test_all_that_is_sent_arrives_in_order(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    sent = choose.randbytes(3_000_000)
    received = bytearray()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(received) < len(sent):
            received.extend(await reader.read(choose.randrange(1, 100_000)))
        writer.write(b"all")
        await writer.drain()
        assert await reader.read() == b""  # the end of TLS, which is no error

    async def run() -> None:
        async with connected(slowly, tmp_path) as (transport, client):
            at = 0
            while at < len(sent):
                size = choose.choice([0, 1, 16_384, 65_537, 700_000])
                pieces = [memoryview(sent)[i : i + size] for i in (at, at + size)]
                for piece in pieces:
                    (transport.send_on if size % 2 else transport.write)(piece)
                at += 2 * size
                assert client.is_paused == (transport.get_write_buffer_size() > 0)
                await client.until(lambda: not client.is_paused)
            await client.until(lambda: client.data == b"all")
            transport.close()
            async with asyncio.timeout(20):
                assert await client.lost is None

    asyncio.run(run())
    assert received == sent


def test_closing_sends_the_rest_first(tmp_path: Path) -> None:
    sent = random.Random(1).randbytes(5_000_000)
    may_read, received = asyncio.Event(), bytearray()

    async def late(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await may_read.wait()
        received.extend(await reader.read())

    async def run() -> None:
        async with connected(late, tmp_path) as (transport, client):
            transport.write(sent)
            assert client.is_paused
            transport.close()
            assert transport.is_closing()
            may_read.set()
            async with asyncio.timeout(20):
                assert await client.lost is None

    asyncio.run(run())
    assert received == sent


@pytest.mark.parametrize("last", ["bytes", "close_notify"])
def test_the_last_bytes_of_a_body_wait_for_nothing(tmp_path: Path, last: str) -> None:
    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def run() -> list[int]:
        async with connected(listen, tmp_path) as (transport, _):
            sock = transport.get_extra_info("socket")
            transport.send_on(b"more comes")
            before = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if last == "bytes":
                transport.write(b"last")
            else:
                transport.close()
            return [before, sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)]

    assert [bool(value) for value in asyncio.run(run())] == [False, True]


def test_a_peer_that_never_closes_holds_a_descriptor_for_a_moment(tmp_path: Path) -> None:
    over = threading.Event()

    def deaf(server: socket.socket) -> None:
        plain, _ = server.accept()
        with AUTHORITY.server_context("127.0.0.1").wrap_socket(plain, server_side=True):
            over.wait(60)

    async def run(address: tuple[str, int]) -> None:
        [context] = contexts_for([(AUTHORITY.write(tmp_path / "ca.pem"), True)], Tls())
        client = Client()
        plain = socket.create_connection(address)
        transport = await start_tls(plain, context, "127.0.0.1", client)
        transport.close()
        async with asyncio.timeout(20):  # less than it takes to give up what is not sent
            assert await client.lost is None

    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = threading.Thread(target=deaf, args=(server,))
        peer.start()
        try:
            asyncio.run(run(server.getsockname()))
        finally:
            over.set()
            peer.join()


@pytest.mark.parametrize("end", ["of TLS", "of the connection"])
def test_the_end_of_tls_is_told_from_that_of_the_connection(tmp_path: Path, end: str) -> None:
    is_closed = end == "of TLS"

    async def ending(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"last words")
        await writer.drain()
        if not is_closed:
            writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async def run() -> None:
        async with connected(ending, tmp_path) as (transport, client):
            async with asyncio.timeout(20):
                assert await client.lost is None
            assert client.data == b"last words"
            assert client.has_eof is is_closed
            assert transport.get_extra_info("ssl_object").is_closed is is_closed

    asyncio.run(run())


def test_nothing_is_read_while_reading_is_paused(tmp_path: Path) -> None:
    sent = asyncio.Event()

    async def talking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"x" * 40_000)
        await writer.drain()
        sent.set()
        await reader.read()

    async def run() -> None:
        async with connected(talking, tmp_path) as (transport, client):
            transport.pause_reading()
            transport.write(b"?")
            await sent.wait()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not client.data
            transport.resume_reading()
            await client.until(lambda: len(client.data) == 40_000)

    asyncio.run(run())


def test_a_protocol_may_pause_reading_when_it_is_connected(tmp_path: Path) -> None:
    class Pausing(Client):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, TlsTransport)
            transport.pause_reading()

    async def talking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"at once")
        await reader.read()

    async def run() -> None:
        async with connected(talking, tmp_path, Pausing) as (transport, client):
            assert not transport.is_reading()
            for _ in range(50):
                await asyncio.sleep(0)
            assert not client.data
            transport.resume_reading()
            await client.until(lambda: client.data == b"at once")

    asyncio.run(run())


@pytest.mark.parametrize("method", ["data_received", "eof_received"])
def test_an_exception_of_the_protocol_ends_the_connection(tmp_path: Path, method: str) -> None:
    reported = list[object]()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def talking(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"data")

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        async with connected(talking, tmp_path) as (_, client):
            setattr(client, method, broken)
            async with asyncio.timeout(20):
                assert isinstance(await client.lost, ZeroDivisionError)
        assert [type(it) for it in reported] == [ZeroDivisionError]

    asyncio.run(run())


def test_nothing_leaves_without_tls_once_it_has_ended(tmp_path: Path) -> None:
    received = bytearray()

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())

    async def run() -> None:
        async with connected(listen, tmp_path) as (transport, client):
            transport.write(b"before")
            transport.close()
            transport.write(b"secret")
            transport.writelines([b"secret"])
            async with asyncio.timeout(20):
                await client.lost
            transport.write(b"secret")

    asyncio.run(run())
    assert received == b"before"


@pytest.mark.parametrize(
    ("answer", "error"), [(b"SSH-2.0-x\r\n" * 9, ssl.SSLError), (b"", ConnectionResetError)]
)
def test_a_failed_handshake_closes_the_socket(answer: bytes, error: type[Exception]) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)

    async def run() -> None:
        [context] = contexts_for([(None, True)], Tls())
        async with listening(no_tls) as address:
            host, _, port = address.partition(":")
            plain = socket.create_connection((host, int(port)))
            with pytest.raises(error):
                await start_tls(plain, context, host, Client())
            assert plain.fileno() == -1

    asyncio.run(run())


def test_a_reset_before_the_handshake_is_a_reset() -> None:
    async def run() -> None:
        [context] = contexts_for([(None, True)], Tls())
        with socket.create_server(("127.0.0.1", 0)) as server:
            plain = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            with pytest.raises(ConnectionResetError, match=os.strerror(errno.ECONNRESET)):
                await start_tls(plain, context, "127.0.0.1", Client())
            assert plain.fileno() == -1

    asyncio.run(run())


def test_a_handshake_that_is_given_up_closes_the_socket() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        gone.set()

    async def run() -> None:
        [context] = contexts_for([(None, True)], Tls())
        async with listening(silent) as address:
            host, _, port = address.partition(":")
            plain = socket.create_connection((host, int(port)))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await start_tls(plain, context, host, Client())
            async with asyncio.timeout(20):
                await gone.wait()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("slow_from", "rate", "room"),
    [(1_000_000, 100_000, 65_536), (60_000_000, 400_000, None)],
    ids=["that was never quick", "after it was quick"],
)
def test_a_slow_peer_is_seen_to_take_something(
    tmp_path: Path, slow_from: int, rate: int, room: int | None
) -> None:
    """What waits on the way takes this peer longer than the limit of a stall."""
    slow_to = slow_from + 6 * rate
    size = slow_to + 30_000_000
    package = tmp_path / "package.tar.gz"
    package.write_bytes(random.Random(2).randbytes(size))
    over = threading.Event()

    def slow(server: socket.socket) -> None:
        plain, _ = server.accept()
        context = AUTHORITY.server_context("127.0.0.1")
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as tls:
            taken, last, begun = 0, b"", 0.0
            while not last.endswith(LAST_CHUNK):
                block = tls.recv(8_192)
                if not block:
                    return
                taken, last = taken + len(block), last[-len(LAST_CHUNK) :] + block
                if taken <= slow_from:
                    begun = time.monotonic()
                elif taken < slow_to:  # by the clock: a busy machine makes it no slower
                    over.wait(begun + (taken - slow_from) / rate - time.monotonic())
            tls.sendall(OK)
            over.wait(20)

    def deploy(address: str) -> list[relay.Record]:
        node = relay.Node("n", f"https://{address}/", mint=relay.GivenToken("a-token"))
        tls = relay.Tls(ca_file=AUTHORITY.write(tmp_path / "ca.pem"))
        limits = relay.Limits(stall=3)
        return asyncio.run(relay.deploy([node], DEPLOY, package, tls=tls, limits=limits)).records

    with socket.create_server(("127.0.0.1", 0)) as server:
        if room is not None:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)  # of what it accepts
        peer = threading.Thread(target=slow, args=(server,))
        peer.start()
        try:
            records = deploy("{}:{}".format(*server.getsockname()))
        finally:
            over.set()
            peer.join()
    assert records == [{"node": "n", "status": "success"}]


@pytest.mark.parametrize("loop", ["of sockets", "foreign"])
def test_a_deploy_uses_it(
    monkeypatch: pytest.MonkeyPatch, package: Path, tmp_path: Path, loop: str
) -> None:
    """It has no public way into aiohttp: this says when a version of aiohttp stops using it.

    A loop that may not lend its sockets has its own TLS.
    """
    if loop == "foreign":
        monkeypatch.setattr(connection, "_LENDING_LOOPS", ())
    used, encrypted = list[type](), list[bool]()
    begin = link.Link.__init__

    def noted(self: link.Link, transport: asyncio.Transport) -> None:
        used.append(type(transport))
        begin(self, transport)

    monkeypatch.setattr(link.Link, "__init__", noted)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted.append(writer.get_extra_info("cipher") is not None)
        await reader.readuntil(LAST_CHUNK)
        writer.write(OK)
        await writer.drain()

    async def run() -> list[relay.Record]:
        async with listening(serve, AUTHORITY.server_context("127.0.0.1")) as address:
            node = relay.Node("n", f"https://{address}/", mint=relay.GivenToken("a-token"))
            tls = relay.Tls(ca_file=AUTHORITY.write(tmp_path / "ca.pem"))
            return (await relay.deploy([node], DEPLOY, package, tls=tls)).records

    assert asyncio.run(run()) == [{"node": "n", "status": "success"}]
    assert [issubclass(each, TlsTransport) for each in used] == [loop == "of sockets"]
    assert encrypted == [True]
