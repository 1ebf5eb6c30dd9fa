"""The requests of one connection, one after another, and the answers of pytest-httpserver."""

import io
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote
from wsgiref.types import WSGIEnvironment
from wsgiref.util import setup_testing_defaults

from werkzeug import Request, Response

from deploy_relay_kit.harness.faults.http1 import status_line
from deploy_relay_kit.harness.transport.connection import Connection
from deploy_relay_kit.harness.transport.exchange import ENVIRON_KEY, Exchange, path_in
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.moments import MomentKind
from deploy_relay_kit.harness.witness.wire import MessageReader
from deploy_relay_kit.harness.witness.wire.finding import show
from deploy_relay_kit.harness.witness.wire.head import read_operation_head
from deploy_relay_kit.harness.witness.wire.plain import read_plain_head

HEAD_LIMIT = 64 * 1024  # bytes of a request head that a peer reads
_HEAD_END = b"\r\n\r\n"
_BLOCK = 64 * 1024
_CLIENT_HELLO = b"\x16\x03"  # the record around it (RFC 8446 section 5.1)


def serve_requests(
    connection: Connection,
    answer: Callable[[Exchange], None],
    refuse_malformed: Callable[[Exchange, int], None],
) -> None:
    """Serve one request after another until the connection ends.

    Args:
        connection: ready for the first request.
        answer: called with each request as soon as its head has been read.
        refuse_malformed: called with a request whose head is malformed, and a status for it.
    """
    seen = connection.witness
    while connection.is_open:
        connection.wait_for_request()
        raw_head = _read_head(connection)
        if raw_head is None:
            return
        head = read_plain_head(raw_head)
        witness = RequestWitness(seen, raw_head, head.method, head.target, head.headers)
        seen.requests.append(witness)
        witness.mark(
            "head",
            MomentKind.HEAD,
            method=show(head.method.encode()),
            target=witness.redacted_target,
            size=len(raw_head),
        )
        exchange = Exchange(connection, witness, keep_alive=False)
        status, witness.problem = 400, head.problem
        if len(raw_head) >= HEAD_LIMIT:
            status, witness.problem = 431, f"more than {HEAD_LIMIT} bytes"
        if witness.problem is not None:
            seen.note(MomentKind.HEAD_MALFORMED, problem=witness.problem)
            refuse_malformed(exchange, status)
            return
        exchange.keep_alive = head.keep_alive and connection.link.close_after is None
        answer(exchange)
        if not exchange.keep_alive or connection.link.is_half_open:
            exchange.before_close()
            return


def _read_head(connection: Connection) -> bytes | None:
    """The raw request head with its empty line, and with the empty lines before it.

    None when the client closed before the end of a head, or speaks TLS; 64 KiB of a longer head.
    """
    head = b""
    block = memoryview(bytearray(16 * 1024))
    while len(head) < HEAD_LIMIT:
        count = connection.read_into(block)
        connection.witness.has_spoken |= count > 0
        head += block[:count]
        start = len(head) - len(head.lstrip(b"\r\n"))
        end = head.find(_HEAD_END, start) + len(_HEAD_END)
        if end >= len(_HEAD_END):
            connection.unread(head[min(end, HEAD_LIMIT) :])
            return head[: min(end, HEAD_LIMIT)]
        if head.startswith(_CLIENT_HELLO):  # as servers in Node and nginx do at a port without TLS
            connection.witness.note(MomentKind.HEAD_MALFORMED, problem="TLS at a port without it")
            connection.write(f"{status_line(400)}\r\nConnection: close\r\n\r\n".encode())
            connection.close_unread()
            return None
        if count == 0:
            if head:
                connection.witness.note(MomentKind.HEAD_CUT, size=len(head))
            return None
    connection.unread(head[HEAD_LIMIT:])
    return head[:HEAD_LIMIT]


def werkzeug_request(exchange: Exchange) -> Request:
    """The request for the handlers of pytest-httpserver; its body is read on demand."""
    witness = exchange.witness
    is_tls = witness.connection.tls_version is not None
    environ: WSGIEnvironment = {
        ENVIRON_KEY: exchange,
        "REQUEST_METHOD": witness.method,
        "REQUEST_URI": witness.target,
        "PATH_INFO": unquote(path_in(witness.target), "latin-1"),
        "QUERY_STRING": witness.target.partition("?")[2],
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": witness.connection.client.rpartition(":")[0],
        "CONTENT_TYPE": witness.header("content-type") or "",
        "CONTENT_LENGTH": witness.header("content-length") or "",
        "wsgi.url_scheme": "https" if is_tls else "http",
        "wsgi.input": io.BufferedReader(_Body(exchange)),
        "wsgi.input_terminated": True,
    }
    for name, value in witness.headers:
        if "_" not in name:
            key = f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    setup_testing_defaults(environ)
    return Request(environ)


class _Body(io.RawIOBase):
    """The body of a request without its framing, for a handler that reads it as a file."""

    def __init__(self, exchange: Exchange) -> None:
        self._connection = exchange.connection
        self._block = bytearray(_BLOCK)
        self._content = bytearray()
        self._reader = MessageReader(read_operation_head(exchange.witness.raw_head), self._take)

    def _take(self, data: bytes | bytearray, start: int, end: int) -> None:
        self._content += data[start:end]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content and not self._reader.complete:
            count = self._connection.read_into(memoryview(self._block))
            if count == 0:
                break
            self._reader.feed(self._block, 0, count)
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        del self._content[:size]
        return size


def send_response(exchange: Exchange, response: Response) -> None:
    """Send an answer of pytest-httpserver, the last one on its connection."""
    connection = exchange.connection
    exchange.keep_alive = False
    exchange.witness.answer_status = response.status_code
    blocks, status, headers = response.get_wsgi_response(
        {"REQUEST_METHOD": exchange.witness.method}
    )
    lines = [f"HTTP/1.1 {status}", f"Date: {formatdate(usegmt=True)}"]
    lines += [*(f"{name}: {value}" for name, value in headers), "Connection: close", "", ""]
    connection.write("\r\n".join(lines).encode("latin-1"))
    for block in blocks:
        connection.write(block)
    # Bytes left unread would turn the end into a reset.
    rest = memoryview(bytearray(_BLOCK))
    for _ in range(1000):
        if not connection.wait_for_input(0.01) or not connection.read_into(rest):
            break
