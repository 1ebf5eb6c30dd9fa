"""One request on a live connection, as a handler of the server finds it."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from werkzeug import Request

from harness.faults.http1 import status_line
from harness.transport.connection import Connection
from harness.witness.connections import RequestWitness

ENVIRON_KEY = "harness.transport.exchange"
"""Where the WSGI environment of a request holds its exchange."""
_BLOCK = 64 * 1024
_W = TypeVar("_W", bound=RequestWitness)


@dataclass(slots=True)
class Exchange:
    """One request on a live connection, while it is being answered."""

    connection: Connection
    raw_head: bytes
    witness: RequestWitness
    keep_alive: bool
    """Whether both sides may use the connection for another request."""
    answered: bool = False
    """Set by a handler that has spoken on the connection itself."""

    @classmethod
    def of(cls, request: Request) -> Exchange:
        """The exchange behind a request that a handler of pytest-httpserver was given."""
        exchange = request.environ[ENVIRON_KEY]
        assert isinstance(exchange, Exchange)
        return exchange

    def witness_as(self, kind: type[_W], **seen: Any) -> _W:
        """Replace the witness by one of a richer kind, with what else was seen."""
        plain = {f.name: getattr(self.witness, f.name) for f in fields(RequestWitness)}
        richer = kind(**plain, **seen)
        requests = self.connection.witness.requests
        requests[requests.index(self.witness)] = richer
        self.witness = richer
        return richer


def refuse_malformed(exchange: Exchange, status: int) -> None:
    """Answer with a bare status line; what is still on its way is not read."""
    exchange.witness.answer_status = status
    exchange.connection.write(f"{status_line(status)}\r\nConnection: close\r\n\r\n".encode())
    exchange.connection.close_unread()


class BodyFile(io.RawIOBase):
    """`wsgi.input` for handlers that read a small body the usual way."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            raise ValueError("a body of unknown length is not read whole; give a size")
        return self._connection.read(size)

    def readline(self, size: int | None = -1) -> bytes:
        return self._connection.readline(size if size and size > 0 else _BLOCK)

    def readinto(self, buffer: Any) -> int:
        return self._connection.read_into(memoryview(buffer))


class Leftovers(BodyFile):
    """What Werkzeug throws away behind its answer: whatever has come, without a wait for more."""

    def read(self, size: int = -1) -> bytes:
        block = bytearray(_BLOCK if size < 0 else min(size, _BLOCK))
        return bytes(block[: self.readinto(block)])


class BodyWriter(io.RawIOBase):
    """Where Werkzeug writes answers of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._connection.write(data)
        return len(data)
