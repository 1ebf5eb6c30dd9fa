"""Every fault of the replication socket, on the wire."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import End
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.replication.faults import (
    Dropped,
    ErrorAnswer,
    Fragments,
    Garbage,
    HugeAnswer,
    LateAnswer,
    ListAnswer,
    NestedToken,
    NoAnswer,
    OthersFirst,
    PingFirst,
    RawFrames,
    RawUpgrade,
    Repeated,
    ReplicationFault,
    Subprotocol,
    Unauthorized,
    UnknownRequestId,
    UpgradeHangs,
    UpgradeRefused,
    WideMaps,
    WithoutToken,
    WithToken,
    WrongAccept,
)
from deploy_relay_kit.harness.replication.frames import OTHER_CODES, parse
from tests.rawclient import RawClient
from tests.websocketclient import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    REQUEST,
    RawSocket,
    dialled,
    masked,
    minted,
    opened,
    upgrade,
)


@contextmanager
def showing(fault: ReplicationFault, cluster: FakeCluster) -> Iterator[FakeReplicationSocket]:
    with FakeReplicationSocket(cluster.authority, cluster.peer().node, fault=fault) as socket:
        yield socket


@contextmanager
def asked(
    fault: ReplicationFault, cluster: FakeCluster
) -> Iterator[tuple[FakeReplicationSocket, RawSocket]]:
    """A socket, and a raw client that has sent its request."""
    with showing(fault, cluster) as socket, opened(socket, cluster) as client:
        client.send(masked(BINARY, REQUEST))
        yield socket, client


def answer(client: RawSocket) -> Any:
    opcode, payload = client.read_frame()
    assert opcode == BINARY
    return parse(payload)


# -- the connection ------------------------------------------------------------------------------


def test_upgrade_refused(cluster: FakeCluster) -> None:
    with showing(UpgradeRefused(503), cluster) as socket:
        with opened(socket, cluster) as client:
            assert client.head.startswith("HTTP/1.1 503 ")
        assert socket.sockets == []


def test_upgrade_hangs(cluster: FakeCluster) -> None:
    with showing(UpgradeHangs(), cluster) as socket:
        with RawClient(socket.url.replace("wss", "https"), ca_file=cluster.ca_file) as client:
            client.send(upgrade())
            socket.wait_until(lambda seen: "reads and sends nothing" in seen.timeline())
            client.sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.read()
        socket.wait_until(lambda seen: seen.live_connections[0].closed_by == "client")
        assert socket.sockets == []


@pytest.mark.parametrize("echo", [None, "harperdb-replication-v2"])
def test_wrong_subprotocol(cluster: FakeCluster, echo: str | None) -> None:
    with asked(Subprotocol(echo), cluster) as (_, client):
        assert client.head.startswith("HTTP/1.1 101 ")
        assert ("Sec-WebSocket-Protocol" in client.head) == (echo is not None)
        assert f"Sec-WebSocket-Protocol: {echo}\r\n" in client.head or echo is None
        assert answer(client)[0] == 137


def test_wrong_accept(cluster: FakeCluster) -> None:
    with asked(WrongAccept(), cluster) as (_, client):
        assert client.head.startswith("HTTP/1.1 101 ")
        assert "Sec-WebSocket-Accept: " in client.head
        assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" not in client.head, "the answer to this key"
        assert answer(client)[0] == 137


@pytest.mark.parametrize("when", ["at once", "first message"])
def test_unauthorized(cluster: FakeCluster, when: Any) -> None:
    with showing(Unauthorized(when), cluster) as socket:
        with opened(socket, cluster) as client:
            if when == "first message":
                client.send(masked(PING))
                assert client.read_frame() == (PONG, b""), "not closed before a message"
                client.send(masked(BINARY, REQUEST))
            assert client.read_frame() == (CLOSE, b"\x03\xf0Unauthorized")
            client.send(masked(BINARY, REQUEST) + masked(CLOSE, b"\x03\xf0"))
            assert client.read() == b"", "closed with FIN"
        seen = socket.socket
        assert seen.closed_by == "peer"
        assert seen.close_sent is not None
        assert (seen.close_sent.code, seen.close_sent.reason) == (1008, "Unauthorized")
        assert seen.close_received is not None
        assert seen.close_received.code == 1008
        assert seen.operations, "what was on its way is witnessed"
        assert seen.tokens == []


@pytest.mark.parametrize("at", ["upgrade", "request", "answer"])
@pytest.mark.parametrize("how", [End.RESET, End.CLOSE])
def test_dropped(cluster: FakeCluster, at: Any, how: Any) -> None:
    with showing(Dropped(at, how), cluster) as socket:
        with RawClient(socket.url.replace("wss", "https"), ca_file=cluster.ca_file) as client:
            client.send(upgrade())
            client.read_answer_head()
            if at != "upgrade":
                client.send(masked(BINARY, REQUEST))
            if how is End.RESET:
                with pytest.raises(ConnectionResetError):
                    client.read_to_the_end()
            else:
                rest = client.read_to_the_end()
                assert rest == b"" if at != "answer" else 0 < len(rest) < 600
        seen = socket.socket
        assert len(seen.operations) == (0 if at == "upgrade" else 1)
        assert seen.closed_by == "peer"
        assert seen.connection.closed_with == ("RST" if how is End.RESET else "FIN")
        assert seen.close_sent is None


def test_a_drop_in_the_answer_leaves_a_frame_cut(cluster: FakeCluster) -> None:
    with asked(Dropped("answer", End.CLOSE), cluster) as (_, client):
        data = client.read_to_the_end()
        assert data[:2] == b"\x82\x7e", "a binary frame with a length of 16 bits"
        assert len(data) < int.from_bytes(data[2:4])


# -- time ----------------------------------------------------------------------------------------


def test_no_answer_but_pongs(cluster: FakeCluster) -> None:
    with asked(NoAnswer(), cluster) as (socket, client):
        for text in (b"1", b"2"):
            client.send(masked(PING, text))
            assert client.read_frame() == (PONG, text)
        client.send(masked(CLOSE))
        assert client.read_frame() == (CLOSE, b"")
        seen = socket.socket
        assert len(seen.pings) == 2
        assert [m.sender for m in seen.messages] == ["client"]
        assert seen.closed_by == "client"


def test_a_late_answer_comes_when_enough_pings_have_been_seen(cluster: FakeCluster) -> None:
    with asked(LateAnswer(after_pings=2), cluster) as (socket, client):
        client.send(masked(PING, b"1"))
        assert client.read_frame() == (PONG, b"1")
        client.send(masked(PING, b"2"))
        assert client.read_frame() == (PONG, b"2")
        assert answer(client)[1]["requestId"] == 1
        client.send(masked(CLOSE))
        [request, response] = socket.socket.messages
        assert request.at < socket.socket.pings[0] < socket.socket.pings[1] < response.at


def test_a_late_answer_comes_when_its_time_has_passed(cluster: FakeCluster) -> None:
    with asked(LateAnswer(after_pings=0, after_seconds=0.03), cluster) as (socket, client):
        assert answer(client)[0] == 137
        client.send(masked(CLOSE))
        [request, response] = socket.socket.messages
        assert response.at - request.at >= 0.03


def test_a_silent_client_is_ended_without_a_close_frame(cluster: FakeCluster) -> None:
    fault = LateAnswer(after_pings=1, silence_limit=0.03)

    async def wait(socket: FakeReplicationSocket) -> None:
        async with dialled(socket, cluster) as ws:
            await ws.send_bytes(REQUEST)
            message = await ws.receive(timeout=5)
            assert message.type in (WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR)
            assert ws.close_code == 1006

    with showing(fault, cluster) as socket:
        begun = time.monotonic()
        asyncio.run(wait(socket))
        assert time.monotonic() - begun >= 0.03
        assert socket.socket.closed_by == "peer"
        assert socket.socket.tokens == []
        assert "silent for 0.03 s" in str(socket.socket)


def test_pings_keep_a_long_operation_alive(cluster: FakeCluster) -> None:
    """BUG-17: the answer takes longer than the limit, and comes all the same."""
    fault = LateAnswer(after_pings=0, after_seconds=0.35, silence_limit=0.3)

    async def mint(socket: FakeReplicationSocket) -> bytes:
        async with dialled(socket, cluster) as ws:
            await ws.send_bytes(REQUEST)
            while True:
                try:
                    return await ws.receive_bytes(timeout=0.02)
                except TimeoutError:
                    await ws.ping()

    with showing(fault, cluster) as socket:
        body = parse(asyncio.run(mint(socket)))[1]
        assert body["operation_token"] == socket.socket.token
        assert len(socket.socket.pings) > 1


# -- the answer ----------------------------------------------------------------------------------


def test_error_answer(cluster: FakeCluster) -> None:
    with asked(ErrorAnswer("ServerError: no keys"), cluster) as (_, client):
        assert answer(client) == (137, {"error": "ServerError: no keys", "requestId": 1})


@pytest.mark.parametrize("then_answer", [True, False])
def test_unknown_request_id(cluster: FakeCluster, *, then_answer: bool) -> None:
    with asked(UnknownRequestId(then_answer), cluster) as (socket, client):
        stray = answer(client)[1]
        assert stray["requestId"] == 1_000_001
        if then_answer:
            right = answer(client)[1]
            assert right["requestId"] == 1
            assert right["operation_token"] != stray["operation_token"]
        client.send(masked(PING))
        assert client.read_frame() == (PONG, b""), "nothing more is said"
        client.send(masked(CLOSE))
        assert len(socket.socket.tokens) == (2 if then_answer else 1)


def test_without_token(cluster: FakeCluster) -> None:
    with asked(WithoutToken(), cluster) as (_, client):
        assert set(answer(client)[1]) == {"refresh_token", "requestId"}


@pytest.mark.parametrize("token", ["", 7, None, True, {"a": 1}, ["x"]])
def test_with_something_for_a_token(cluster: FakeCluster, token: Any) -> None:
    with asked(WithToken(token), cluster) as (_, client):
        assert answer(client) == (137, {"operation_token": token, "requestId": 1})


def test_nested_token(cluster: FakeCluster) -> None:
    with asked(NestedToken(), cluster) as (socket, client):
        body = answer(client)[1]
        client.send(masked(CLOSE))
        assert body["results"]["operation_token"] == socket.socket.token
        assert set(body) == {"results", "requestId"}


def test_list_answer(cluster: FakeCluster) -> None:
    with asked(ListAnswer(), cluster) as (socket, client):
        [item] = answer(client)[1]["results"]
        client.send(masked(CLOSE))
        assert item["operation_token"] == socket.socket.token


def test_wide_maps(cluster: FakeCluster) -> None:
    with asked(WideMaps(), cluster) as (_, client):
        payload = client.read_frame()[1]
        assert payload[:6] == b"\x92\xcc\x89\xde\x00\x03"
        assert set(parse(payload)[1]) == {"operation_token", "refresh_token", "requestId"}


def test_raw_frames(cluster: FakeCluster) -> None:
    fault = RawFrames(lambda number, tokens: bytes([number, len(tokens)]))
    with asked(fault, cluster) as (socket, client):
        assert client.exactly(2) == b"\x01\x02"
        client.send(masked(CLOSE))
        assert socket.socket.messages[-1].body["operation_token"] == socket.socket.token


def test_raw_upgrade(cluster: FakeCluster) -> None:
    fault = RawUpgrade(
        lambda accept, name: f"HTTP/1.1 101 Yes\r\nA: {accept}\r\nB: {name}\r\n\r\n".encode()
    )
    with showing(fault, cluster) as socket, opened(socket, cluster) as client:
        assert client.head.endswith("=\r\nB: harperdb-replication-v1\r\n\r\n")


def test_fragments(cluster: FakeCluster) -> None:
    with asked(Fragments(size=50), cluster) as (socket, client):
        message, first = b"", 0
        while not first & 0x80:
            first, length = client.exactly(2)
            assert first & 0x0F == (0x0 if message else BINARY)
            assert length == 50 or first & 0x80, "all but the last are full"
            message += client.exactly(length)
        assert parse(message)[1]["requestId"] == 1
        assert len(message) > 100
        client.send(masked(CLOSE))
        assert [m.size for m in socket.socket.messages] == [len(REQUEST), len(message)]


def test_ping_first(cluster: FakeCluster) -> None:
    with asked(PingFirst(b"there?"), cluster) as (socket, client):
        assert client.read_frame() == (PING, b"there?")
        assert answer(client)[1]["requestId"] == 1
        client.send(masked(PONG, b"there?") + masked(CLOSE))
        assert "ping sent" in str(socket.socket)
        assert "pong received" in str(socket.socket)


def test_others_first(cluster: FakeCluster) -> None:
    with asked(OthersFirst(), cluster) as (socket, client):
        assert [answer(client)[0] for _ in OTHER_CODES] == list(OTHER_CODES)
        assert client.read_frame()[1][0] < 128
        assert answer(client)[1]["requestId"] == 1
        client.send(masked(CLOSE))
        assert [m.code for m in socket.socket.messages] == [136, *OTHER_CODES, None, 137]


def test_frames_are_repeated_until_the_client_closes(cluster: FakeCluster) -> None:
    with asked(Repeated(b"\x89\x01x"), cluster) as (socket, client):
        assert [client.exactly(3) for _ in range(3)] == [b"\x89\x01x"] * 3
        client.send(masked(CLOSE))
        client.read_to_the_end()
        assert [it.code for it in socket.socket.messages] == [136]


def test_garbage(cluster: FakeCluster) -> None:
    with asked(Garbage(), cluster) as (socket, client):
        assert client.read_frame() == (BINARY, b"\xc1 never a msgpack value")
        client.send(masked(CLOSE))
        assert socket.socket.messages[-1].problem is not None


def test_a_huge_answer_is_right_when_it_is_taken(cluster: FakeCluster) -> None:
    with showing(HugeAnswer(8 << 20), cluster) as socket:
        body = minted(socket, cluster, max_msg_size=16 << 20)
        assert body["padding"] == bytes(8 << 20)
        assert socket.socket.messages[-1].problem is None
        assert body["operation_token"] == socket.socket.token


def test_a_client_that_refuses_a_huge_answer_gets_no_more_of_it(cluster: FakeCluster) -> None:
    with asked(HugeAnswer((1 << 32) - 1), cluster) as (socket, client):
        assert client.exactly(2) == b"\x82\x7f"
        assert int.from_bytes(client.exactly(8)) > 1 << 32
        client.send(masked(CLOSE, b"\x03\xf1"))
        assert len(client.read_to_the_end()) < 64 << 20
        seen = socket.socket
        assert seen.close_received is not None
        assert seen.close_received.code == 1009
        assert seen.messages[-1].problem == "cut short"


@pytest.mark.parametrize("padding", [-1, 1 << 32])
def test_padding_that_msgpack_cannot_hold(padding: int) -> None:
    with pytest.raises(ValueError, match="padding"):
        HugeAnswer(padding)
