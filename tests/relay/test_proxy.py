"""The setting of a proxy: its URL, the environment, the command line."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.kinds import ClientCertificateRequired, TlsOnly, TlsVersion
from deploy_relay_kit.harness.fronts.tinyproxy import Tinyproxy
from deploy_relay_kit.harness.peer.certificates import Authority
from deploy_relay_kit.relay.proxy import proxies
from deploy_relay_kit.relay.urls import resolve
from tests.programs import PROXY_PASSWORD
from tests.relay.driving import DEPLOY, deploy
from tests.relay.rawpeers import listening

NODE_PASSWORD = "pass-word-of-all"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "package.tar.gz"
    path.write_bytes(gzip.compress(os.urandom(1_000_000)))
    return path


def run(cluster: FakeCluster, package: Path, *arguments: str, **environment: str) -> Any:
    """`relay deploy` to every node; its exit code, and its output and errors as one text."""
    nodes = [f"--node={peer.name}={peer.url}" for peer in cluster.peers]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "deploy_relay_kit.relay",
            "deploy",
            str(package),
            "--project=demo",
            *nodes,
            f"--ca={cluster.ca_file}",
            "--attempts=1",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
        env={**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": NODE_PASSWORD, **environment},
    )


@pytest.mark.parametrize("version", get_args(TlsVersion))
def test_an_alert_about_the_own_certificate_is_named_through_a_proxy(
    cluster: FakeCluster,
    tinyproxy: Tinyproxy,
    package: Path,
    tmp_path: Path,
    version: TlsVersion,
) -> None:
    """In TLS 1.3 it comes when the relay is sending already."""
    peer = cluster.peer(fault=(ClientCertificateRequired(), TlsOnly(version)))
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(Authority().client_certificate("stranger.example"))
    tls = relay.Tls(cluster.ca_file, stranger)
    node = relay.Node("n", peer.url, mint=relay.GivenToken("a-token"))
    (record,) = deploy(cluster, package, [node], tls=tls, proxy=tinyproxy.url).records
    assert record["reason"].startswith(f"TLS with {peer.http.host}:{peer.http.port} through proxy ")
    assert record["reason"].endswith("ca; it does not accept the relay's own certificate")
    assert " alert unknown ca; " in record["reason"]
    assert "uncertain" not in record


def test_the_command_takes_a_proxy(
    cluster: FakeCluster, tinyproxy: Tinyproxy, package: Path
) -> None:
    peer = cluster.peer(username="admin", password=NODE_PASSWORD)
    assert run(cluster, package, HTTPS_PROXY=tinyproxy.url).returncode == 0
    assert tinyproxy.tunnels == [], "the environment counts only if asked for"
    ended = run(cluster, package, "--proxy", tinyproxy.url)
    assert ended.returncode == 0, ended.stdout
    assert len(tinyproxy.tunnels) == 2
    ended = run(cluster, package, "--proxy=env", "--restart", HTTPS_PROXY=tinyproxy.url)
    assert ended.returncode == 0, ended.stdout
    assert len(tinyproxy.tunnels) > 4, "the restart goes through the proxy, too"
    assert len(peer.uploads) == 3


def test_credentials_of_the_environment_are_not_shown(
    cluster: FakeCluster, guarded_proxy: Tinyproxy, package: Path
) -> None:
    cluster.peer(username="admin", password=NODE_PASSWORD)
    good = f"http://origin:{PROXY_PASSWORD}@{guarded_proxy.address}"
    ended = run(cluster, package, "--proxy=env", "--events", HTTPS_PROXY=good)
    assert ended.returncode == 0, ended.stdout
    assert PROXY_PASSWORD not in ended.stdout
    bad = f"http://other:{PROXY_PASSWORD}@{guarded_proxy.address}"
    ended = run(cluster, package, "--proxy=env", "--json", HTTPS_PROXY=bad)
    assert ended.returncode == 1
    assert f"through proxy {guarded_proxy.address}" in ended.stdout
    assert PROXY_PASSWORD not in ended.stdout


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("http://user:hidden@proxy.example:3128", "other users can read a command line"),
        ("https://proxy.example:3128", "is not the URL of an HTTP proxy"),
        ("socks5://proxy.example:1080", "is not the URL of an HTTP proxy"),
        ("http://", "is not the URL of an HTTP proxy"),
        ("http://proxy.example:99999", "is not the URL of an HTTP proxy"),
        ("http://proxy.example:0", "is not the URL of an HTTP proxy"),
        ("http://proxy.example/path", "is not the URL of an HTTP proxy"),
        ("http://pro xy.example", "is not the URL of an HTTP proxy"),
        ("http://a..b", "is not the URL of an HTTP proxy"),
        ("", "is not the URL of an HTTP proxy"),
        ("env", "neither HTTPS_PROXY nor ALL_PROXY is set"),
    ],
)
def test_a_proxy_that_cannot_be_used(
    cluster: FakeCluster, package: Path, proxy: str, reason: str
) -> None:
    cluster.peer(username="admin", password=NODE_PASSWORD)
    ended = run(cluster, package, f"--proxy={proxy}")
    assert ended.returncode == 2
    assert ended.stdout.startswith("relay: ")
    assert reason in ended.stdout
    assert "hidden" not in ended.stdout


@pytest.mark.parametrize(
    ("phrase", "shown"),
    [
        (f"no {NODE_PASSWORD}", "HTTP 503 no [proxy password]"),
        ("-" * 99 + NODE_PASSWORD, "HTTP 503"),
    ],
)
def test_what_a_proxy_says_is_quoted_whole_or_not_at_all(
    package: Path, phrase: str, shown: str
) -> None:
    """It is cut nowhere, as half of a password is not recognised as one."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 503 {phrase}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        await reader.read()

    async def run() -> relay.Record:
        async with listening(refuse) as address:
            node = relay.Node("n", "https://127.0.0.1:9/", mint=relay.GivenToken("t"))
            proxy = f"http://u:{NODE_PASSWORD}@{address}"
            return (await relay.deploy([node], DEPLOY, package, proxy=proxy)).records[0]

    assert asyncio.run(run())["reason"].endswith(f"the proxy opens no tunnel: {shown}")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example", "http://proxy.example:80"),
        ("http://PROXY.example/", "http://proxy.example:80"),
        ("http://b\u00fccher.example:1", "http://xn--bcher-kva.example:1"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://us%40er:p%3Aw@proxy.example:3128", "http://proxy.example:3128"),
    ],
)
def test_the_url_of_a_proxy(text: str, url: str) -> None:
    endpoint = resolve(relay.Node("n", "https://node.example/"))
    proxy = proxies(text)(endpoint)
    assert proxy is not None
    assert proxy.url == url
    if "@" in text:
        assert base64.b64decode(proxy.headers["Proxy-Authorization"].split()[1]) == b"us@er:p:w"
        assert "p:w" not in repr(proxy)
    else:
        assert proxy.headers == {}
