"""The fake replication socket, seen from an aiohttp client and from a raw one."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import WSMsgType

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw, MintForAnotherUser, TokensExpire
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.replication import FakeReplicationSocket
from deploy_relay_kit.harness.replication.frames import pack, parse
from tests.rawclient import RawClient, chunked, upload_body, upload_head
from tests.websocketclient import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    PROTOCOL,
    REQUEST,
    REQUEST_MAP16,
    TEXT,
    dialled,
    masked,
    minted,
    opened,
    upgrade,
)


@pytest.fixture
def peer(cluster: FakeCluster) -> FakePeer:
    return cluster.peer()


@pytest.fixture
def socket(cluster: FakeCluster, peer: FakePeer) -> Iterator[FakeReplicationSocket]:
    with FakeReplicationSocket(cluster.authority, peer.node) as socket:
        yield socket


def upload_status(peer: FakePeer, cluster: FakeCluster, token: str) -> int:
    with RawClient(peer.url, ca_file=cluster.ca_file) as client:
        client.send(upload_head(peer, token) + chunked(upload_body()))
        return client.read_answer().status


# -- a healthy socket ----------------------------------------------------------------------------


def test_a_minted_token_is_good_at_the_operations_api(
    cluster: FakeCluster, peer: FakePeer, socket: FakeReplicationSocket
) -> None:
    body = minted(socket, cluster)
    assert set(body) == {"operation_token", "refresh_token", "requestId"}
    assert body["requestId"] == 1
    assert upload_status(peer, cluster, body["operation_token"]) == 200
    assert upload_status(peer, cluster, body["refresh_token"]) == 401


def test_the_witness_of_a_mint(cluster: FakeCluster, socket: FakeReplicationSocket) -> None:
    before = time.monotonic()
    body = minted(socket, cluster, protocols=["other", PROTOCOL])
    seen = socket.socket
    assert seen.target == "/"
    assert seen.subprotocols == ["other", PROTOCOL]
    assert seen.let_in_by == "address"
    assert seen.operations == [{"operation": "create_authentication_tokens", "requestId": 1}]
    assert [(m.sender, m.code, m.request_id) for m in seen.messages] == [
        ("client", 136, 1),
        ("peer", 137, 1),
    ]
    assert seen.messages[0].size == len(REQUEST)
    assert before < seen.messages[0].at < seen.messages[1].at < time.monotonic()
    assert seen.token == body["operation_token"]
    assert seen.closed_by == "client"
    assert seen.close_received is not None
    assert seen.close_received.code == 1000
    assert seen.broken is None
    [connection] = socket.connections
    assert connection.tls_version == "TLSv1.3"
    assert connection.server_name is None, "an address is no SNI (WS-06)"
    assert connection.client_certificate is None


def test_a_close_without_a_code_reads_as_1005(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    with opened(socket, cluster) as client:
        client.send(masked(BINARY, REQUEST) + masked(CLOSE))
        assert client.read_frame()[0] == BINARY
        assert client.read_frame() == (CLOSE, b"")
        assert client.read() == b""
    seen = socket.socket
    assert (seen.close_received and seen.close_received.code) == 1005
    assert (seen.close_sent and seen.close_sent.code) == 1005
    assert (seen.closed_by, seen.connection.closed_with) == ("client", "FIN")


@pytest.mark.parametrize(("abort", "how"), [(False, "FIN"), (True, "RST")])
def test_a_client_that_goes_without_a_close_frame(
    cluster: FakeCluster, socket: FakeReplicationSocket, *, abort: bool, how: str
) -> None:
    with opened(socket, cluster) as client:
        if abort:
            client.reset()
    seen = socket.socket
    assert (seen.closed_by, seen.connection.closed_with) == ("client", how)
    assert seen.close_received is None
    assert seen.close_sent is None


def test_credentials_stand_in_no_text(
    cluster: FakeCluster, peer: FakePeer, socket: FakeReplicationSocket
) -> None:
    request = {"operation": "create_authentication_tokens", "requestId": 7}
    request |= {"username": peer.username, "password": peer.password}
    with opened(socket, cluster, Authorization=f"Basic {peer.password}") as client:
        client.send(masked(BINARY, pack([136, request])))
        assert client.read_frame()[0] == BINARY
    seen = socket.socket
    assert seen.operations == [request]
    text = f"{seen}{seen!r}{seen.messages}{[str(m) for m in seen.messages]}{socket!r}"
    assert "create_authentication_tokens" in text
    assert peer.password not in text
    assert not peer.tokens.appear_in(text)


def test_several_requests_on_one_connection(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    with opened(socket, cluster) as client:
        for request_id in (1, 2, 1 << 20):
            message = [136, {"operation": "create_authentication_tokens", "requestId": request_id}]
            client.send(masked(BINARY, pack(message)))
            assert parse(client.read_frame()[1])[1]["requestId"] == request_id
    assert len(set(socket.socket.tokens)) == 3


def test_another_operation_fails(cluster: FakeCluster, socket: FakeReplicationSocket) -> None:
    with opened(socket, cluster) as client:
        client.send(masked(BINARY, pack([136, {"operation": "drop", "requestId": 3}])))
        error = {"error": "ClientError: Operation 'drop' not found", "requestId": 3}
        assert parse(client.read_frame()[1]) == (137, error)


def test_nothing_is_said_before_the_client_speaks_and_other_messages_are_ignored(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    with opened(socket, cluster) as client:
        client.send(masked(BINARY, pack([140, "origin"])) + masked(BINARY, pack([142])))
        client.send(masked(PING, b"?"))
        assert client.read_frame() == (PONG, b"?")
    assert [m.code for m in socket.socket.messages] == [140, 142]
    assert len(socket.socket.pings) == 1


def test_a_fragmented_request_with_a_ping_in_between(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    with opened(socket, cluster) as client:
        client.send(masked(BINARY, REQUEST[:10], final=False))
        client.send(masked(PING))
        client.send(masked(0, REQUEST[10:20], final=False) + masked(0, REQUEST[20:]))
        assert client.read_frame() == (PONG, b"")
        assert parse(client.read_frame()[1])[0] == 137


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        (b"\x82\x01\x90", 1002, "unmasked frame"),
        (masked(TEXT, b"{}"), 1003, "text"),
        (masked(0, b"x"), 1002, "unexpected CONTINUATION"),
        (masked(BINARY, b"x", final=False) + masked(BINARY, b"y"), 1002, "expected CONTINUATION"),
        (masked(BINARY, b"\xc1"), 1007, "not msgpack"),
        (masked(BINARY, REQUEST + b"\x00"), 1007, "not msgpack"),
        (masked(BINARY, b"\x01"), 1007, "not an array"),
        (masked(BINARY, pack([136, {"operation": "x"}])), 1007, "requestId"),
        (masked(BINARY, bytes(70_000)), 1009, "more than 65536 bytes"),
    ],
)
def test_what_breaks_the_protocol_is_refused_and_named(
    cluster: FakeCluster, socket: FakeReplicationSocket, sent: bytes, code: int, text: str
) -> None:
    with opened(socket, cluster) as client:
        client.send(sent)
        opcode, payload = client.read_frame()
        assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, code)
        client.send(masked(CLOSE, payload))
    assert socket.socket.broken is not None
    assert text in socket.socket.broken


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade(Sec_WebSocket_Protocol=""), 400),
        (upgrade(Sec_WebSocket_Protocol="harperdb-replication-v2"), 400),
        (upgrade(Sec_WebSocket_Version="8"), 400),
        (upgrade(Sec_WebSocket_Key=""), 400),
        (upgrade(Upgrade="h2c"), 400),
        (upgrade(Connection="close"), 400),
        (upgrade("/replication"), 404),
    ],
)
def test_what_is_no_upgrade_to_replication_is_refused(
    cluster: FakeCluster, socket: FakeReplicationSocket, request_bytes: bytes, status: int
) -> None:
    with RawClient(socket.url.replace("wss", "https"), ca_file=cluster.ca_file) as client:
        client.send(request_bytes)
        assert client.read_answer().status == status
    assert socket.sockets == []
    [connection] = socket.connections
    assert [request.answer_status for request in connection.requests] == [status]


# -- the exact bytes of WS-21 --------------------------------------------------------------------


@pytest.mark.parametrize("request_bytes", [REQUEST, REQUEST_MAP16])
def test_the_bytes_of_ws_21_are_understood(
    cluster: FakeCluster, socket: FakeReplicationSocket, request_bytes: bytes
) -> None:
    with opened(socket, cluster) as client:
        client.send(masked(BINARY, request_bytes))
        assert parse(client.read_frame()[1])[0] == 137
    assert socket.socket.operations == [
        {"operation": "create_authentication_tokens", "requestId": 1}
    ]


# -- who is let in -------------------------------------------------------------------------------


def test_a_client_certificate_is_asked_for_and_witnessed(
    cluster: FakeCluster, peer: FakePeer
) -> None:
    context = cluster.authority.client_context()
    cluster.authority.issue_client_certificate(context, "origin.test")
    with FakeReplicationSocket(cluster.authority, peer.node, known_nodes={"origin.test"}) as socket:
        assert "operation_token" in minted(socket, cluster, ssl=context)
        assert socket.socket.let_in_by == "certificate"
        assert socket.socket.connection.client_certificate is not None


@pytest.mark.parametrize("certificate", [None, "stranger.test"])
def test_an_unknown_client_is_closed_with_1008(
    cluster: FakeCluster, peer: FakePeer, certificate: str | None
) -> None:
    context = cluster.authority.client_context()
    if certificate:
        cluster.authority.issue_client_certificate(context, certificate)

    async def dial(socket: FakeReplicationSocket) -> None:
        async with dialled(socket, cluster, ssl=context) as ws:
            await ws.send_bytes(REQUEST)
            message = await ws.receive(timeout=5)
            assert (message.type, ws.close_code) == (WSMsgType.CLOSE, 1008)
            assert message.extra == "Unauthorized"

    with FakeReplicationSocket(cluster.authority, peer.node, known_nodes=["origin.test"]) as socket:
        asyncio.run(dial(socket))
        assert socket.socket.let_in_by is None
        assert socket.socket.tokens == []
        assert socket.socket.closed_by == "peer"


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_an_authorization_header_lets_a_client_in(
    cluster: FakeCluster, peer: FakePeer, scheme: str
) -> None:
    basic = b64encode(f"{peer.username}:{peer.password}".encode()).decode()
    value = f"{scheme} {basic if scheme == 'Basic' else peer.tokens.issue(peer.username)}"
    with FakeReplicationSocket(cluster.authority, peer.node, known_nodes=[]) as socket:
        minted(socket, cluster, headers={"Authorization": value})
        assert socket.socket.let_in_by == "authorization"


def test_the_operations_api_of_the_peer_does_not_ask_for_certificates(
    cluster: FakeCluster,
) -> None:
    peer = cluster.peer("node 1")
    context = cluster.authority.client_context()
    cluster.authority.issue_client_certificate(context, "origin.test")
    with (
        FakeReplicationSocket(cluster.authority, peer.node),
        create_connection((peer.http.host, peer.http.port), 5) as plain,
        context.wrap_socket(plain, server_hostname=peer.http.host) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        client.recv(1)
    assert peer.connections[0].client_certificate is None


def test_a_plain_socket(cluster: FakeCluster, peer: FakePeer) -> None:
    with FakeReplicationSocket(None, peer.node) as socket:
        assert socket.url.startswith("ws://")
        assert "operation_token" in minted(socket, cluster)
        assert socket.socket.connection.tls_version is None


def test_the_name_of_the_node_is_in_its_certificate(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    minted(socket, cluster, server_hostname="node-1")
    assert socket.socket.connection.server_name == "node-1"


def test_a_flaw_of_the_certificate(cluster: FakeCluster, peer: FakePeer) -> None:
    with FakeReplicationSocket(
        cluster.authority, peer.node, fault=CertificateFlaw.WRONG_AUTHORITY
    ) as socket:
        with pytest.raises(ssl.SSLCertVerificationError):
            opened(socket, cluster)
        [connection] = socket.connections
        assert connection.handshake_error == "TLSV1_ALERT_UNKNOWN_CA"
        assert socket.sockets == []


def test_a_client_certificate_of_another_authority_fails_the_handshake(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    context = cluster.authority.client_context()
    Authority().issue_client_certificate(context, "origin.test")
    parts = urlsplit(socket.url)
    assert parts.hostname
    with (
        create_connection((parts.hostname, parts.port or 0), 5) as plain,
        pytest.raises(ssl.SSLError, match="unknown ca"),
        context.wrap_socket(plain, server_hostname=parts.hostname) as client,
    ):
        client.recv(1)
    [connection] = socket.connections
    assert connection.handshake_error == "CERTIFICATE_VERIFY_FAILED"


# -- tokens follow the faults of the peer --------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "statuses"), [(TokensExpire(1), [401, 200]), (MintForAnotherUser(), [403, 403])]
)
def test_faults_of_tokens_hold_over_the_socket(
    cluster: FakeCluster, fault: Any, statuses: list[int]
) -> None:
    peer = cluster.peer(fault=fault)
    with FakeReplicationSocket(cluster.authority, peer.node) as socket:
        tokens = [minted(socket, cluster)["operation_token"] for _ in statuses]
    assert [upload_status(peer, cluster, token) for token in tokens] == statuses


# -- life ----------------------------------------------------------------------------------------


def test_a_connection_left_open_is_named(
    cluster: FakeCluster, socket: FakeReplicationSocket
) -> None:
    with opened(socket, cluster) as client:
        client.send(masked(BINARY, REQUEST))
        client.read_frame()
        socket.wait_until(lambda s: any(m.code == 137 for m in s.live_sockets[0].messages))
        with pytest.raises(TimeoutError, match="message sent: 137"):
            socket.http.settle(timeout=0.01)


def test_stopping_ends_connections_and_leaves_nothing(cluster: FakeCluster) -> None:
    peer = cluster.peer()
    before = set(threading.enumerate())
    socket = FakeReplicationSocket(cluster.authority, peer.node).start()
    with opened(socket, cluster) as client:
        socket.stop()
        assert client.read() == b""
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        opened(socket, cluster)
    socket.stop()
    assert len(socket.connections) == 1
