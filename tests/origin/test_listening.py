"""How many connections a node holds, and how long one may be without a request."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy_relay_kit.harness.peer.addresses import has_ipv6
from tests.origin.archives import component
from tests.origin.nodes import (
    BOUNDARY,
    FILES,
    RELAY,
    RealNode,
    basic,
    form,
    raw,
    real_cluster,
    wait_for,
)

LIMITS = "[limits]\nhead = 1.0\nconnections = 8\n"


def dial(node: RealNode) -> socket.socket:
    where = urlsplit(node.url)
    connection = socket.create_connection((where.hostname, where.port), 30)
    connection.settimeout(30)
    return connection


def shaken(node: RealNode, plain: socket.socket | None = None) -> ssl.SSLSocket:
    """A connection after the TLS handshake."""
    host = urlsplit(node.url).hostname
    return node.context.wrap_socket(plain or dial(node), server_hostname=host)


def is_ended(connection: socket.socket) -> bool:
    """Whether the node has ended the connection; waits for up to 30 seconds."""
    try:
        return connection.recv(65_536) == b""
    except ConnectionError:
        return True


def test_a_connection_without_a_request_is_ended(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", LIMITS)
        silent = dial(node)
        half = shaken(node)
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        # An upload may take longer than the limit of a head.
        fields = {"operation": "deploy_component", "project": "slow", "replicated": False}
        body = form(fields, component(**FILES))
        slow = raw(node, body[:-100], len(body))
        assert is_ended(silent)
        assert is_ended(half)
        before = time.monotonic()
        wait_for(lambda: time.monotonic() - before > 0.5)  # the looks at the connections go on
        slow.sendall(body[-100:])
        assert b" 200 OK" in slow.recv(1_000)
        for connection in (silent, half, slow):
            connection.close()


@pytest.mark.parametrize("path", ["/health", "/nowhere"])
def test_requests_of_a_stranger_hold_no_connection(tmp_path: Path, path: str) -> None:
    """They come one on another, so that the connection never waits for one."""
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", LIMITS)
        asked = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 100
        with shaken(node) as connection:
            before = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() - before < 30:
                    connection.sendall(asked)
                    if connection.recv(65_536) == b"":
                        break
            assert time.monotonic() - before < 30


def test_a_stranger_sends_a_body_in_time(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", LIMITS)
        with shaken(node) as connection:
            connection.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            received = connection.recv(65_536)
        assert received.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close\r\n" in received


def test_a_user_keeps_a_connection(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", LIMITS)
        connection = node.connect()
        before = time.monotonic()
        while time.monotonic() - before < 2.5:
            connection.request(
                "POST",
                "/",
                b'{"operation": "registration_info"}',
                {"Content-Type": "application/json", **basic("admin")},
            )
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Connection")) == (200, None)
            assert b"version" in answer.read()
        connection.close()


def test_connections_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        node = cluster.start("n1", LIMITS.replace("1.0", "5.0"))
        held = [dial(node) for _ in range(8)]

        def is_refused() -> bool:
            plain = dial(node)
            try:
                with shaken(node, plain):
                    return False
            except (ssl.SSLError, OSError):
                return True
            finally:
                plain.close()  # which a failed handshake may leave open

        wait_for(is_refused)
        for connection in held:
            connection.close()
        wait_for(lambda: not is_refused())
        wait_for(lambda: node.ask({"operation": "registration_info"})[0] == 200)


def test_connections_leave_descriptors_for_deploys(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster:
        few = ("sh", "-c", 'ulimit -n 64; exec "$0" "$@"', RELAY)
        node = cluster.start("n1", program=few)
        fields = {"operation": "deploy_component", "project": "demo", "replicated": False}
        body = form(fields, component(**FILES))
        with raw(node, body[:-100], len(body)) as upload:
            wait_for(node.rows)
            held = [dial(node) for _ in range(100)]
            upload.sendall(body[-100:])
            assert b" 200 OK" in upload.recv(1_000)
            for it in held:
                it.close()
        assert (node.home / "stderr").read_text() == ""


def test_a_client_that_asks_first_sends_no_payload_in_vain(tmp_path: Path) -> None:
    """A client such as curl sends `Expect: 100-continue`; without a login it is refused at once."""
    body = form({"operation": "deploy_component", "project": "asked"}, component(**FILES))
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    head = f"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{kind}\r\n"
    with real_cluster(tmp_path, 1) as cluster:
        [node] = cluster.nodes
        for user, first in (("viewer", b"HTTP/1.1 401 "), ("admin", b"HTTP/1.1 100 ")):
            login = f"Authorization: {basic(user)['Authorization']}\r\n"
            with shaken(node) as connection:
                connection.sendall(f"{head}{login}Content-Length: {len(body)}\r\n\r\n".encode())
                assert connection.recv(65_536).startswith(first)
                if user == "admin":
                    connection.sendall(body)
                    assert b" 200 OK" in connection.recv(65_536)


def test_the_url_of_a_node_is_one(tmp_path: Path) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    with real_cluster(tmp_path, 1) as cluster:
        [node] = cluster.nodes
        node.stop()
        config = node.home / "node.toml"
        config.write_text(re.sub('host = ".*"', 'host = "::1"', config.read_text()))
        command = [RELAY, "serve", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            process.terminate()
        assert urlsplit(url).hostname == "::1"
