"""A TLS server, in processes of its own, that costs nearly nothing, so that a sender is measured.

It completes the handshake and discards the ciphertext in the kernel, without decrypting it. So it
cannot see where a request ends: it answers 200 once a whole payload has come and the sender has
been quiet for a moment, which is part of what every sender is measured with.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from deploy_relay_kit.harness.peer.certificates import Authority

_WORKERS = 2
_QUIET_MS = 20
_RECORD, _OVERHEAD = 16_384, 22  # bytes of data in a TLS record, and what is around them
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Sink:
    """A running sink."""

    url: str
    ca_file: Path
    _pids: list[int]

    def cpu_seconds(self) -> float:
        """What its processes have used so far."""
        return sum(map(_cpu_seconds, self._pids))


@contextlib.contextmanager
def discarding_sink(directory: Path, payload_bytes: int) -> Iterator[Sink]:
    """Run one, for requests with a payload of that size; Linux only."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_hold, args=(theirs, directory, payload_bytes), daemon=True
    )
    process.start()
    port, ca_file, pids = ours.recv()
    try:
        yield Sink(f"https://127.0.0.1:{port}/", ca_file, pids)
    finally:
        os.killpg(process.pid or 0, signal.SIGTERM)
        process.join()


def _hold(pipe: Connection, directory: Path, payload_bytes: int) -> None:
    os.setpgid(0, 0)  # all workers end together
    authority = Authority()
    context = authority.server_context("127.0.0.1")
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    pids = [os.getpid()]
    for _ in range(_WORKERS - 1):
        child = os.fork()
        if child == 0:
            break
        pids.append(child)
    else:
        pipe.send((listener.getsockname()[1], authority.write(directory / "ca.pem"), pids))
    buffer = bytearray(1 << 22)  # the kernel writes nothing into it
    while True:
        connection, _ = listener.accept()
        threading.Thread(
            target=_serve, args=(context, connection, payload_bytes, buffer), daemon=True
        ).start()


def _serve(
    context: ssl.SSLContext, connection: socket.socket, payload_bytes: int, buffer: bytearray
) -> None:
    whole = payload_bytes + _OVERHEAD * (payload_bytes // _RECORD)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with contextlib.suppress(OSError), connection:
        received = 0
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                block = connection.recv(4096)
                if not block:
                    return
                incoming.write(block)
        connection.sendall(outgoing.read())
        received = incoming.pending
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        while received < whole or poll.poll(_QUIET_MS):
            count = connection.recv_into(buffer, flags=socket.MSG_TRUNC)
            if not count:
                return
            received += count
        tls.write(_ANSWER)
        connection.sendall(outgoing.read())
        while connection.recv_into(buffer):
            pass


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
