"""Slow and failing lookups of names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.addresses import has_ipv6
from deploy_relay_kit.relay.sockets import Lookups
from tests.relay.driving import DEPLOY, SOON

HANGING = 100
getaddrinfo = socket.getaddrinfo


@pytest.fixture
def silent_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lookups of names that end in `.silent` last until the end of the test."""
    ended = threading.Event()

    def look_up(host: str, *rest: Any, **how: Any) -> Any:
        if host.endswith(".silent"):
            ended.wait(60)
            raise socket.gaierror(socket.EAI_NONAME, "looked up for too long")
        return getaddrinfo(host, *rest, **how)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield
    ended.set()


@pytest.mark.usefixtures("silent_names")
def test_slow_lookups_do_not_delay_other_nodes(cluster: FakeCluster, package: Path) -> None:
    peer = cluster.peer(host="127.0.0.1")
    mint = relay.OperationsMint(peer.username, peer.password)
    nodes = [relay.Node(f"n{n}", f"https://n{n}.silent/", mint=mint) for n in range(HANGING)]
    nodes.append(relay.Node("good", peer.url.replace("127.0.0.1", "localhost"), mint=mint))
    settled: list[str] = []

    async def run() -> None:
        one = asyncio.Event()

        def listen(event: relay.Event) -> None:
            if event.name == "settled":
                settled.append(f"{event.node} {event.data['record']['status']}")
                one.set()

        tls, limits = relay.Tls(cluster.ca_file), relay.Limits(connect=30)
        going = asyncio.create_task(
            relay.deploy(nodes, DEPLOY, package, tls=tls, limits=limits, on_event=listen)
        )
        await asyncio.wait_for(one.wait(), 20)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(run())  # it would wait for the threads of its own
    assert settled == ["good success"]


@pytest.mark.usefixtures("silent_names")
def test_a_slow_lookup_reaches_the_limit_of_connecting(package: Path) -> None:
    node = relay.Node("n", "https://n.silent/", mint=relay.GivenToken("t"))
    limits = relay.Limits(connect=0.05)
    report = asyncio.run(relay.deploy([node], DEPLOY, package, limits=limits))
    assert report.records[0]["stage"] == "connect"


def test_an_unknown_name_is_a_failure_to_connect(package: Path) -> None:
    node = relay.Node("n", "https://none.invalid/", mint=relay.GivenToken("a-token"))
    [record] = asyncio.run(relay.deploy([node], DEPLOY, package, retry=SOON)).records
    assert record["stage"] == "connect"
    assert "cannot find its host" in str(record["reason"])


def test_a_lookup_without_a_free_thread_is_waited_out(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    node = relay.Node("n", "https://localhost:1/", mint=relay.GivenToken("a-token"))
    limits = relay.Limits(connect=0.2)
    began = time.monotonic()
    report = asyncio.run(relay.deploy([node], DEPLOY, package, retry=SOON, limits=limits))
    [record] = report.records
    assert time.monotonic() - began > limits.connect
    assert record["stage"] == "connect"
    assert "no thread left" in record["reason"]


def test_the_addresses_of_a_name() -> None:
    async def found(host: str, family: socket.AddressFamily) -> list[str]:
        return [each["host"] for each in await Lookups().resolve(host, 80, family)]

    assert asyncio.run(found("localhost", socket.AF_INET)) == ["127.0.0.1"]
    assert asyncio.run(found("127.0.0.3", socket.AF_UNSPEC)) == ["127.0.0.3"]


@pytest.mark.parametrize(
    ("before", "other"), [(["127.0.0.5"], "127.0.0.3"), ([], "127.0.0.3"), ([], "::1")]
)
def test_a_failed_handshake_ends_at_the_first_address_that_accepts(
    package: Path, monkeypatch: pytest.MonkeyPatch, before: list[str], other: str
) -> None:
    """It is no TLS server; the addresses before it refuse, and those after it are unused."""
    if other == "::1" and not has_ipv6():
        pytest.skip("no IPv6")
    with contextlib.ExitStack() as stack:
        accepting = stack.enter_context(socket.create_server(("127.0.0.2", 0)))
        port = accepting.getsockname()[1]
        unused = [socket.create_server((other, port), family=_family(other))]
        unused.append(socket.create_server(("127.0.0.4", port)))
        for server in unused:
            stack.enter_context(server)
            server.settimeout(0)

        def look_up(*_: Any, **__: Any) -> Any:
            hosts = [*before, "127.0.0.2", other, "127.0.0.4"]
            return [(_family(it), socket.SOCK_STREAM, 6, "", (it, port)) for it in hosts]

        def greet() -> None:
            connection, _ = accepting.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.sendall(b"SSH-2.0-x\r\n" * 9)
                while connection.recv(1 << 16):
                    pass

        threading.Thread(target=greet, daemon=True).start()
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        node = relay.Node("n", f"https://node.test:{port}/", mint=relay.OperationsMint("u", "p"))
        [record] = asyncio.run(relay.deploy([node], DEPLOY, package)).records
        assert record["stage"] == "tls", record
        for server in unused:
            with pytest.raises(BlockingIOError):
                server.accept()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def test_the_zone_of_an_address_stays_on_this_machine(cluster: FakeCluster, package: Path) -> None:
    """The peer is reached, its certificate is verified, and it sees no zone (RFC 6874 §4)."""
    peer = cluster.peer("a", host="::1")
    node = relay.Node("a", peer.url.replace("[::1]", "[::1%251]"))
    report = asyncio.run(
        relay.deploy(
            [node],
            DEPLOY,
            package,
            mint=relay.OperationsMint(peer.username, peer.password),
            tls=relay.Tls(cluster.ca_file),
        )
    )
    assert node.url != peer.url
    assert report.succeeded, report
    assert peer.upload.header("Host") == peer.url.split("/")[2]


def test_a_program_can_end_during_a_lookup() -> None:
    code = """
import asyncio, socket, threading
from deploy_relay_kit.relay.sockets import Lookups
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
async def run():
    async with asyncio.timeout(0.01):
        await Lookups().resolve("n", 80)
asyncio.run(run())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert done.stderr.splitlines()[-1] == b"TimeoutError"
