"""The relay through a proxy that tunnels to the nodes: a real tinyproxy, and raw ones that fail."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.fronts.tinyproxy import Tinyproxy
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.programs import PROXY_PASSWORD, installed
from tests.relay.rawpeers import listening

DEPLOY = {"operation": "deploy_component", "project": "demo"}
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.tar.gz"
    path.write_bytes(gzip.compress(os.urandom(5_000_000), 1))
    return path


def node_of(peer: FakePeer, **how: Any) -> relay.Node:
    mint = relay.OperationsMint(peer.username, peer.password)
    return relay.Node(peer.name, peer.url, **{"mint": mint, **how})


def deploy(
    cluster: FakeCluster, package: Path, nodes: list[relay.Node], proxy: str | None, **how: Any
) -> list[relay.Record]:
    how = {"limits": relay.Limits(connect=5, mint=10, stall=10, answer=20), **how}
    tls = relay.Tls(ca_file=cluster.ca_file)
    report = asyncio.run(relay.deploy(nodes, DEPLOY, package, tls=tls, proxy=proxy, **how))
    return report.records


@pytest.mark.parametrize("events", [False, True], ids=["json", "events"])
def test_mint_and_upload_go_through_the_proxy(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path, *, events: bool
) -> None:
    peers = [cluster.peer() for _ in range(3)]
    records = deploy(
        cluster, package, [node_of(it) for it in peers], tinyproxy.url, ask_for_events=events
    )
    assert [record["status"] for record in records] == ["success"] * 3, records
    for peer in peers:
        assert peer.upload.findings == []
        assert peer.upload.file.length == package.stat().st_size
        assert peer.upload.header("proxy-authorization") is None
        address = peer.url.removeprefix("https://").rstrip("/")
        assert tinyproxy.tunnels.count(address) == len(peer.connections) == 2


def test_a_mint_over_the_replication_socket_goes_through_the_proxy(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer("localhost")
    at = cluster.replication(peer)
    node = node_of(peer, mint=relay.ReplicationMint(), replication_url=at.url)
    [record] = deploy(cluster, package, [node], tinyproxy.url)
    assert record["status"] == "success", record
    assert at.url.removeprefix("wss://").rstrip("/") in tinyproxy.tunnels


def test_the_environment_counts_only_if_asked_for(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = cluster.peer()
    monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
    assert deploy(cluster, package, [node_of(peer)], None)[0]["status"] == "success"
    assert tinyproxy.tunnels == []
    monkeypatch.setenv("NO_PROXY", peer.http.host)
    assert deploy(cluster, package, [node_of(peer)], "env")[0]["status"] == "success"
    assert tinyproxy.tunnels == []
    monkeypatch.delenv("NO_PROXY")
    assert deploy(cluster, package, [node_of(peer)], "env")[0]["status"] == "success"
    assert len(tinyproxy.tunnels) == 2


def test_credentials_reach_the_proxy_and_nobody_else(
    cluster: FakeCluster, guarded_proxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer()
    url = f"http://origin:{PROXY_PASSWORD}@{guarded_proxy.address}"
    [record] = deploy(cluster, package, [node_of(peer)], url)
    assert record["status"] == "success", record
    assert all(request.header("proxy-authorization") is None for request in peer.requests)


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_proxy_that_wants_credentials(
    cluster: FakeCluster, guarded_proxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer()
    for url in (guarded_proxy.url, f"http://origin:wrong-{PROXY_PASSWORD}@{guarded_proxy.address}"):
        [record] = deploy(cluster, package, [node_of(peer)], url, retry=relay.Retry(3, 0.001))
        assert record["stage"] == "connect"
        assert "the proxy opens no tunnel: HTTP 40" in record["reason"]
        assert f"through proxy {guarded_proxy.address}" in record["reason"]
        assert "attempts" not in record, "the same credentials help no second time"
        assert PROXY_PASSWORD not in json.dumps(record)
    assert peer.requests == []


def test_a_proxy_that_refuses_the_host(cluster: FakeCluster, package: Path, tmp_path: Path) -> None:
    peer = cluster.peer()
    (tmp_path / "filter").write_text(r"^127\.0\.0\.")
    with installed(Tinyproxy)(f'Filter "{tmp_path / "filter"}"') as proxy:
        [record] = deploy(cluster, package, [node_of(peer)], proxy.url)
    assert record["stage"] == "connect"
    assert "the proxy opens no tunnel: HTTP 403" in record["reason"]
    assert "statusCode" not in record, "it is no answer of the node"
    assert peer.requests == []


def test_a_node_that_the_proxy_cannot_reach(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer()
    node = node_of(peer)
    peer.kill()
    [record] = deploy(cluster, package, [node], tinyproxy.url, retry=relay.Retry(2, 0.001))
    assert record["stage"] == "connect"
    assert "the proxy opens no tunnel: HTTP 50" in record["reason"]
    assert record["attempts"] == 2


def test_a_certificate_is_verified_in_the_tunnel(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer()
    tls = relay.Tls()
    arguments = ([node_of(peer)], DEPLOY, package)
    report = asyncio.run(relay.deploy(*arguments, tls=tls, proxy=tinyproxy.url))
    assert report.records[0]["stage"] == "tls"
    assert "is not trusted" in report.records[0]["reason"]
    assert peer.requests == []


def test_a_node_without_tls_is_not_asked_through_a_proxy(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer(tls=False)
    [record] = deploy(cluster, package, [node_of(peer)], tinyproxy.url, allow_http=True)
    assert record["stage"] == "resolve"
    assert "has no TLS" in record["reason"]
    assert tinyproxy.tunnels == []


async def _closes(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    pass


async def _closes_after_the_request(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _answers(text: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(text)
    await writer.drain()


async def _quotes_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    credentials = head.lower().split(b"proxy-authorization: ")[1].split(b"\r\n")[0]
    credentials = head[head.lower().index(credentials) :].split(b"\r\n")[0]
    plain = base64.b64decode(credentials.split()[1])
    writer.write(b"HTTP/1.1 403 no %b %b\r\nContent-Length: 0\r\n\r\n" % (credentials, plain))
    await writer.drain()


async def _is_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def answers(text: bytes) -> Serve:
    return lambda reader, writer: _answers(text, reader, writer)


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (_closes, "the proxy opens no tunnel: "),
        (_closes_after_the_request, "the proxy opens no tunnel: the peer closed the connection"),
        (answers(b"nonsense\r\n\r\n"), "the proxy opens no tunnel: "),
        (answers(b"HTTP/1.1 204 No\r\n\r\n"), "the proxy opens no tunnel: HTTP 204 No"),
        (answers(b"HTTP/1.1 302 Go\r\nLocation: /\r\n\r\n"), "the proxy opens no tunnel: HTTP 302"),
        (answers(b"HTTP/1.1 407 Who\r\n\r\n"), "HTTP 407 Who; it needs a user name and password"),
        (answers(b"HTTP/1.1 200 OK\r\n\r\n"), "through proxy"),
        (answers(b"HTTP/1.1 200 OK\r\n\r\nnonsense"), "through proxy"),
        (_quotes_the_request, "HTTP 403 no Basic [proxy password] origin:[proxy password]"),
        (_is_silent, "no connection in 1 s"),
    ],
    ids=[
        "closes",
        "closes-later",
        "no-http",
        "204",
        "302",
        "407",
        "cut",
        "no-tls",
        "quotes",
        "silent",
    ],
)
def test_a_proxy_that_fails(cluster: FakeCluster, package: Path, serve: Serve, reason: str) -> None:
    peer = cluster.peer()

    async def run() -> tuple[str, relay.Record]:
        async with listening(serve) as address:
            report = await relay.deploy(
                [node_of(peer)],
                DEPLOY,
                package,
                tls=relay.Tls(ca_file=cluster.ca_file),
                proxy=f"http://origin:{PROXY_PASSWORD}@{address}",
                limits=relay.Limits(connect=1),
            )
            return address, report.records[0]

    address, record = asyncio.run(run())
    assert record["status"] == "failed"
    assert record["stage"] in {"connect", "tls"}
    assert reason in record["reason"]
    assert f"through proxy {address}" in record["reason"]
    assert PROXY_PASSWORD not in json.dumps(record)
    assert "statusCode" not in record
    assert peer.requests == []


def test_a_proxy_that_is_not_there(cluster: FakeCluster, package: Path) -> None:
    with installed(Tinyproxy)() as gone:
        url, address = gone.url, gone.address
    [record] = deploy(cluster, package, [node_of(cluster.peer())], url)
    assert record["stage"] == "connect"
    assert "cannot connect to the proxy: Connection refused" in record["reason"]
    assert f"through proxy {address}" in record["reason"]
    [record] = deploy(cluster, package, [node_of(cluster.peer())], "http://proxy.invalid:3128")
    assert "cannot find the host of the proxy" in record["reason"]
