"""Minting over a fake replication socket, and the reader of its frames."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.answers import End
from deploy_relay_kit.harness.faults.kinds import CertificateFlaw
from deploy_relay_kit.harness.replication import FakeReplicationSocket, faults
from deploy_relay_kit.relay.errors import OriginError
from deploy_relay_kit.relay.replication import operation_response
from deploy_relay_kit.relay.urls import resolve_replication
from tests.relay.driving import DEPLOY, SOON, deploy
from tests.relay.rawpeers import listening

SILENT = "no answer in 0.3 s"


@contextlib.contextmanager
def socket_of(
    cluster: FakeCluster, fault: Any = None, **how: Any
) -> Iterator[tuple[FakeReplicationSocket, relay.Node]]:
    """A peer with a replication socket, and the node that mints over it."""
    peer = cluster.peer()
    with FakeReplicationSocket(cluster.authority, peer.node, fault=fault, **how) as socket:
        yield (
            socket,
            relay.Node(
                peer.name, peer.url, replication_url=socket.url, mint=relay.ReplicationMint()
            ),
        )


@pytest.mark.parametrize(
    "oddity",
    [
        None,
        faults.NestedToken(),
        faults.WideMaps(),
        faults.OthersFirst(),
        faults.UnknownRequestId(),
        faults.HugeAnswer(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_token_is_minted_over_the_socket(
    cluster: FakeCluster, package: Path, oddity: Any
) -> None:
    with socket_of(cluster, oddity) as (socket, node):
        assert deploy(cluster, package, [node]).succeeded
        seen = socket.socket
        assert seen.subprotocols == ["harperdb-replication-v1"]
        assert seen.operations == [
            {"operation": "create_authentication_tokens", "requestId": 1, "expires_in": "5m"}
        ]
        assert seen.broken is None
        assert seen.header("authorization") is None
        assert seen.closed_by == "client"
        assert cluster.peers[0].upload.token in seen.tokens
        assert cluster.peers[0].mints == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.ErrorAnswer("ClientError: no such user"), "ClientError: no such user"),
        (faults.WithoutToken(), "peer did not return an operation_token"),
        (faults.WithToken(7), "peer did not return an operation_token"),
        (faults.WithToken(""), "peer did not return an operation_token"),
        (faults.Unauthorized(), "Connection closed Unauthorized 1008"),
        (faults.Unauthorized("at once", "no hdb_nodes entry"), "no hdb_nodes entry 1008"),
        (faults.Subprotocol(None), "does not speak harperdb-replication-v1"),
        (faults.Subprotocol("other"), "does not speak harperdb-replication-v1"),
        (faults.UpgradeRefused(503), "no WebSocket: HTTP 503"),
        (faults.Dropped("request"), "Connection closed"),
        (faults.Dropped("answer", End.CLOSE), "Connection closed"),
        (faults.HugeAnswer(4_000_000), "1009"),
        (faults.NoAnswer(), SILENT),
        (faults.Garbage(), SILENT),
        (faults.UnknownRequestId(then_answer=False), SILENT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_socket_that_fails_costs_the_upload(
    cluster: FakeCluster, package: Path, fault: Any, words: str
) -> None:
    limits = relay.Limits(mint=0.3) if words == SILENT else relay.Limits()
    with socket_of(cluster, fault) as (_, node):
        [record] = deploy(cluster, package, [node], limits=limits).records
    assert str(record["reason"]).startswith("token mint failed: ")
    assert words in str(record["reason"])
    assert cluster.peers[0].connections == []


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (b"\x88\x00", "Connection closed 1005"),
        (b"\x88\x02\x03\xf0", "Connection closed 1008"),
        (b"\x88\x04\x03\xe8no", "Connection closed no 1000"),
        (None, "no WebSocket: invalid challenge response"),
    ],
)
def test_how_a_socket_ends_is_said(package: Path, frames: bytes | None, words: str) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        proof = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        writer.write(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n")
        writer.write(b"Sec-WebSocket-Protocol: harperdb-replication-v1\r\n")
        writer.write(b"Sec-WebSocket-Accept: ")
        writer.write(base64.b64encode(proof) if frames else b"nothing")
        writer.write(b"\r\n\r\n")
        if frames:
            await reader.read(1)  # the request comes
            writer.write(frames)
        while await reader.read(1 << 16):
            pass

    async def run() -> relay.Record:
        async with listening(closing) as address:
            mint, url = relay.ReplicationMint(), f"ws://{address}/"
            node = relay.Node("n", "http://127.0.0.1:9/", replication_url=url, mint=mint)
            return (await relay.deploy([node], DEPLOY, package)).records[0]

    assert asyncio.run(run())["reason"].endswith(words)


def test_a_socket_is_pinged_while_it_waits(cluster: FakeCluster, package: Path) -> None:
    late = faults.LateAnswer(after_pings=2)
    with socket_of(cluster, late) as (socket, node):
        mint = relay.ReplicationMint(ping_every=0.02)
        pinging = relay.Node(node.name, node.url, replication_url=socket.url, mint=mint)
        assert deploy(cluster, package, [pinging]).succeeded
        assert len(socket.socket.pings) >= 2


def test_a_socket_is_pinged_before_its_limit_ends(cluster: FakeCluster, package: Path) -> None:
    with socket_of(cluster, faults.LateAnswer(after_pings=1)) as (_, node):
        assert deploy(cluster, package, [node], limits=relay.Limits(mint=2)).succeeded


def test_a_lost_socket_is_tried_again(cluster: FakeCluster, package: Path) -> None:
    with socket_of(cluster, faults.Dropped("request")) as (socket, node):
        [record] = deploy(cluster, package, [node], retry=SOON).records
        assert record["attempts"] == 3
        assert len(socket.sockets) == 3


@pytest.mark.parametrize(("status", "attempts"), [(502, 3), (503, 3), (504, 3), (500, 1), (403, 1)])
def test_a_refused_socket_is_tried_again_by_its_status(
    cluster: FakeCluster, package: Path, status: int, attempts: int
) -> None:
    with socket_of(cluster, faults.UpgradeRefused(status)) as (_, node):
        [record] = deploy(cluster, package, [node], retry=SOON).records
        assert record.get("attempts", 1) == attempts


def test_the_certificate_of_the_socket_is_verified(cluster: FakeCluster, package: Path) -> None:
    with socket_of(cluster, CertificateFlaw.EXPIRED) as (_, node):
        [record] = deploy(cluster, package, [node]).records
    assert record["stage"] == "tls"
    assert "has expired" in str(record["reason"])


def test_the_relay_shows_its_own_certificate(
    cluster: FakeCluster, package: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(cluster.authority.client_certificate("origin"))
    with socket_of(cluster, known_nodes=["origin"]) as (socket, node):
        stranger, known = (
            deploy(cluster, package, [node], tls=relay.Tls(cluster.ca_file, certificate))
            for certificate in (None, own)
        )
        assert "Unauthorized" in str(stranger.records[0]["reason"])
        assert known.succeeded
        assert [seen.let_in_by for seen in socket.sockets] == [None, "certificate"]


def test_no_redirect_is_followed(cluster: FakeCluster, package: Path) -> None:
    async def run() -> dict[str, object]:
        async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: ws://localhost:1/\r\n\r\n")

        async with listening(redirect) as address:
            node = relay.Node(
                "n",
                "https://localhost:1/",
                replication_url=f"ws://{address}/",
                mint=relay.ReplicationMint(),
            )
            report = await relay.deploy([node], {"operation": "deploy_component"}, package)
            return report.records[0]

    record = asyncio.run(run())
    assert (record["reason"], record["statusCode"]) == ("token mint failed: HTTP 302", 302)
    assert cluster.peers == []


@pytest.mark.parametrize(
    ("node", "local", "url"),
    [
        (relay.Node("h"), {}, "wss://h:9933/"),
        (relay.Node("h:9000"), {}, "wss://h:9000/"),
        (relay.Node("h:9933", port=9925), {}, "wss://h:9933/"),
        (relay.Node("h", host="other"), {}, "wss://other:9933/"),
        (relay.Node("h"), {"secure_replication_port": "x:44"}, "wss://h:44/"),
        (relay.Node("h"), {"secure_replication_port": None}, "ws://h:9933/"),
        (
            relay.Node("h"),
            {"secure_replication_port": None, "insecure_replication_port": 5},
            "ws://h:5/",
        ),
        (relay.Node("::1"), {}, "wss://[::1]:9933/"),
        (relay.Node("n", replication_url="wss://u"), {}, "wss://u:443/"),
        (relay.Node("n", replication_url="ws://u/x"), {}, "ws://u:80/x"),
    ],
)
def test_where_the_socket_is(node: relay.Node, local: dict[str, Any], url: str) -> None:
    assert resolve_replication(node, relay.LocalSettings(**local), allow_http=True).url == url


def test_a_socket_without_tls_to_another_machine_must_be_allowed() -> None:
    node = relay.Node("n", replication_url="ws://h/")
    with pytest.raises(OriginError, match="plain ws"):
        resolve_replication(node, relay.LocalSettings())


@pytest.mark.parametrize("url", ["https://h/", "wss://u:secret@h/"])
def test_an_unusable_replication_url_is_a_failed_record(package: Path, url: str) -> None:
    node = relay.Node("n", "https://h/", replication_url=url, mint=relay.ReplicationMint())
    report = asyncio.run(relay.deploy([node], {"operation": "deploy_component"}, package))
    assert report.records[0]["status"] == "failed"
    assert "secret" not in str(report.records)


@pytest.mark.parametrize(
    ("frame", "members"),
    [
        (msgpack.packb([137, {"requestId": 1, "x": 2}]), {"x": 2}),
        (bytes.fromhex("92cc89de0001a9726571756573744964cf0000000000000001"), {}),
        (msgpack.packb([137, {"requestId": 1, "t": msgpack.ExtType(0, b"\0")}]), {"t": None}),
        (msgpack.packb([137, {"requestId": 2}]), None),
        (msgpack.packb([136, {"requestId": 1}]), None),
        (msgpack.packb([137]), None),
        (msgpack.packb([137, None]), None),
        (msgpack.packb({"a": 1}), None),
        (b"\x00data", None),
        (b"\xc1", None),
        (b"", None),
        ("text", None),
        (b"\x91" * 10_000, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_frames(frame: bytes | str, members: dict[str, object] | None) -> None:
    assert operation_response(frame) == members


@given(st.binary())
def test_any_frame_can_be_read(frame: bytes) -> None:
    operation_response(frame)
    operation_response(b"\x92\xcc\x89" + frame)
