"""A TLS server, in processes of its own, that reads requests, throws them away and answers 200.

As little as can be, so that what is measured is the sender. A chunked body ends with its last
chunk, so a payload must not hold `0 CRLF CRLF` at the end of a read: send zeros.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from deploy_relay_kit.harness.peer.certificates import Authority

_WORKERS = 4
_LAST_CHUNK = b"0\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.contextmanager
def tls_sink(directory: Path) -> Iterator[tuple[str, Path]]:
    """Run one; gives its URL and the CA file to trust."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_hold, args=(theirs, directory), daemon=True
    )
    process.start()
    port, ca_file = ours.recv()
    try:
        yield f"https://127.0.0.1:{port}/", ca_file
    finally:
        os.killpg(process.pid or 0, signal.SIGTERM)
        process.join()


def _hold(pipe: Connection, directory: Path) -> None:
    os.setpgid(0, 0)  # all workers end together
    authority = Authority()
    context = authority.server_context("127.0.0.1")
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    pipe.send((listener.getsockname()[1], authority.write(directory / "ca.pem")))
    for _ in range(_WORKERS - 1):  # or the threads of one would wait for each other's turns
        if os.fork() == 0:
            break
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(context, connection), daemon=True).start()


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    buffer = bytearray(1 << 18)
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        while head := _head(tls):
            head, _, begun = head.partition(b"\r\n\r\n")
            if re.search(rb"(?im)^expect:", head):
                tls.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            left = int(length[1]) - len(begun) if length else None
            end = begun[-len(_LAST_CHUNK) :]
            while left != 0 if left is not None else end != _LAST_CHUNK:
                count = tls.recv_into(buffer)
                if not count:
                    return
                if left is not None:
                    left -= count
                end = (end + buffer[max(0, count - 8) : count])[-len(_LAST_CHUNK) :]
            tls.sendall(_ANSWER)


def _head(tls: ssl.SSLSocket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        block = tls.recv(65_536)
        if not block:
            return b""
        head += block
    return head
