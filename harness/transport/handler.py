"""The requests of one connection, one after another.

Werkzeug runs an application for each request. The application finds the live `Exchange` in the WSGI
environment as soon as the request head has been read. Only this module and `server` touch the
internals of Werkzeug and pytest-httpserver.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any, ClassVar, cast
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.serving import WSGIRequestHandler

from harness.transport.connection import Connection
from harness.transport.exchange import ENVIRON_KEY, Exchange
from harness.transport.reading import HEAD_LIMIT, read_head, read_line
from harness.witness.connections import RequestWitness
from harness.witness.moments import MomentKind
from harness.witness.wire.finding import show
from harness.witness.wire.plain import PlainHead, read_plain_head

_BLOCK = 64 * 1024


@dataclass(frozen=True)
class WerkzeugServer:
    """What Werkzeug's handler reads of its server."""

    app: WSGIApplication
    ssl_context: ssl.SSLContext | None
    server_address: tuple[str, int]
    multithread: ClassVar = True
    multiprocess: ClassVar = False
    passthrough_errors: ClassVar = False
    _server_version: ClassVar = "Werkzeug"

    def log(self, *_: Any) -> None:
        """Log nothing: the witnesses are the log."""


class Handler(WSGIRequestHandler):
    """Serves the requests of one connection while it is created."""

    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        connection: Connection,
        server: WerkzeugServer,
        malformed: Callable[[Exchange, int], None],
    ) -> None:
        """Serve until the connection ends; `malformed` refuses a malformed head with a status."""
        self._tapped = connection
        self._malformed = malformed
        host, _, port = connection.witness.client.rpartition(":")
        super().__init__(cast("Any", connection.sock), (host, int(port)), cast("Any", server))

    def setup(self) -> None:
        self.connection = self._tapped.sock
        self.wfile = _AnswerFile(self._tapped)  # type: ignore[assignment]

    def handle(self) -> None:
        self.close_connection = False
        while not self.close_connection and self._tapped.is_open:
            self.handle_one_request()

    def handle_one_request(self) -> None:
        self._tapped.wait_for_request()
        raw_head = read_head(self._tapped)
        if raw_head is None:
            self.close_connection = True
            return
        head = read_plain_head(raw_head)
        seen = self._tapped.witness
        witness = RequestWitness(seen, raw_head, head.method, head.target, head.headers)
        seen.requests.append(witness)
        witness.mark(
            "head",
            MomentKind.HEAD,
            method=show(head.method.encode()),
            target=witness.redacted_target,
            size=len(raw_head),
        )
        self.exchange = Exchange(self._tapped, witness, keep_alive=False)
        status, witness.problem = 400, head.problem
        if len(raw_head) >= HEAD_LIMIT:
            status, witness.problem = 431, f"more than {HEAD_LIMIT} bytes"
        if witness.problem is not None:
            seen.note(MomentKind.HEAD_MALFORMED, problem=witness.problem)
            self.close_connection = True
            self._malformed(self.exchange, status)
            return
        self._take(head)
        self.exchange.keep_alive = head.keep_alive
        self.run_wsgi()
        self.close_connection = not self.exchange.keep_alive

    def _take(self, head: PlainHead) -> None:
        """Set the attributes that `http.server` would set while it reads a head."""
        self.command, self.path, self.request_version = head.method, head.target, head.version
        self.requestline = f"{head.method} {head.target} {head.version}"
        self.headers = HTTPMessage()
        for name, value in head.headers:
            self.headers[name] = value

    def make_environ(self) -> WSGIEnvironment:
        self.rfile = _BodyFile(self._tapped)  # type: ignore[assignment]
        environ = super().make_environ()
        environ[ENVIRON_KEY] = self.exchange
        self.rfile = _Leftovers(self._tapped)  # type: ignore[assignment]
        return environ

    def run_wsgi(self) -> None:
        del self.headers["Expect"]  # or Werkzeug would send the 100 Continue
        super().run_wsgi()

    def finish(self) -> None:
        """Leave the connection open: its owner ends it."""

    def log(self, *_: Any) -> None:
        """Log nothing: the witnesses are the log."""


class _BodyFile(io.RawIOBase):
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
        return read_line(self._connection, size if size and size > 0 else _BLOCK)

    def readinto(self, buffer: Any) -> int:
        return self._connection.read_into(memoryview(buffer))


class _Leftovers(_BodyFile):
    """`rfile` after an answer of Werkzeug, which discards what has already arrived."""

    def read(self, size: int = -1) -> bytes:
        block = bytearray(_BLOCK if size < 0 else min(size, _BLOCK))
        return bytes(block[: self.readinto(block)])


class _AnswerFile(io.RawIOBase):
    """`wfile`: where Werkzeug writes its answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._connection.write(data)
        return len(data)
