"""Clients that are no relay, and connect to the ports of others: what a machine always has."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

from tests.rawclient import client_hello

Stray = Callable[[str, int], object]
_PATIENCE = 0.2  # seconds that a stray waits for what the server says


def _connect(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), _PATIENCE)


def _read(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.recv(4_096)


def port_scan(host: str, port: int) -> None:
    """Connects, and closes."""
    _connect(host, port).close()


def half_a_handshake(host: str, port: int) -> None:
    """Breaks off in its ClientHello."""
    with _connect(host, port) as sock:
        sock.sendall(client_hello("a-stranger.example")[:50])
        _read(sock)


def plain_http(host: str, port: int) -> None:
    """Asks for a page without TLS."""
    with _connect(host, port) as sock:
        sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        _read(sock)


def health_check(host: str, port: int) -> None:
    """Asks for a page over TLS, and verifies nothing."""
    context = ssl._create_unverified_context()
    with _connect(host, port) as bare, context.wrap_socket(bare) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a-stranger.example\r\n\r\n")
        _read(sock)


STRAYS: tuple[Stray, ...] = (port_scan, half_a_handshake, plain_http, health_check)
