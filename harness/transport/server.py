"""pytest-httpserver made streaming, tapped, and quick to start and stop.

Out of the box pytest-httpserver reads a whole body before any handler runs, shakes TLS hands in
its accepting thread and polls twice a second for the end. Here a handler runs as soon as the
request head is in and finds the live `Exchange` in the WSGI environment; a silent client costs one
thread and blocks nobody; stopping wakes every thread and waits for it.

This is the only file that touches the internals of pytest-httpserver and Werkzeug.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from http.client import HTTPMessage
from typing import Any, Literal
from wsgiref.types import WSGIEnvironment

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler, select_address_family

from harness.transport import handshake as handshake_tap
from harness.transport.connection import HEAD_LIMIT, Connection, is_readable
from harness.transport.control import Orders
from harness.transport.exchange import (
    ENVIRON_KEY,
    BodyFile,
    BodyWriter,
    Exchange,
    Leftovers,
    refuse_malformed,
)
from harness.witness.connections import ConnectionWitness, RequestWitness
from harness.witness.moments import MomentKind
from harness.witness.wire.finding import show
from harness.witness.wire.plain import PlainHead, read_plain_head

_STOP_DEADLINE = 5.0


class _Answered(ConnectionError):  # noqa: N818 - Werkzeug takes a ConnectionError as "say no more"
    """The handler has answered on the connection itself."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class StreamingServer(HTTPServer):
    """A pytest-httpserver on a loopback address whose handlers see requests as they arrive.

    Handlers registered with `expect_request` work as ever, with two limits: matching by `data` or
    `json` would read the body first, and is refused; a handler that wants to speak on the socket
    itself takes `Exchange.of(request)` and sets `answered`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        greet: Callable[[Connection], bool] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Prepare a server; nothing listens before `start`.

        Args:
            host: loopback address to bind.
            port: TCP port; 0 takes a free one.
            ssl_context: serve TLS with it; None serves plain HTTP.
            greet: called for each accepted connection, in its own thread, before the TLS handshake;
                False ends the connection (a fault has been shown).
            timeout: longest wait for one read or write on a connection, in seconds.

        Raises:
            ValueError: `host` is not of the loopback.

        """
        if host != "localhost" and not _is_loopback(host):
            raise ValueError(
                f"host {host!r}: fake peers serve on the loopback only, for nobody else to reach; "
                "give an address such as 127.0.0.1 or ::1"
            )
        super().__init__(host, port, ssl_context=ssl_context, threaded=True)
        self.greet = greet
        self.timeout = timeout
        self.otherwise: Callable[[Request], Response] | None = None
        """Handles what nothing expects; None answers 404."""
        self.malformed: Callable[[Exchange, int], None] = refuse_malformed
        """Refuses a request whose head is none, with a status, and ends the connection."""
        self.connections: list[ConnectionWitness] = []
        self.changed = threading.Condition()
        self.accepted = 0
        """Connections whose thread has not ended."""

    def create_matcher(self, *args: Any, **kwargs: Any) -> Any:
        for refused in ("data", "json"):
            if refused in kwargs and type(kwargs[refused]).__name__ != "Undefined":
                if kwargs[refused] is None:
                    continue
                raise ValueError(f"expect_request({refused}=…) would read the body; match by path")
        return super().create_matcher(*args, **kwargs)

    def start(self) -> None:
        if self.is_running():
            raise RuntimeError(f"the server on port {self.port} is already running")
        app = Request.application(self.application)
        self.server = _Listener(self, app)
        self.port = self.server.server_port
        self.server_thread = threading.Thread(
            target=self.server.serve_forever, name=f"peer-{self.port}", daemon=True
        )
        self.server_thread.start()

    def application(self, request: Request) -> Response:
        exchange = Exchange.of(request)
        response = self.dispatch(request)
        if exchange.answered:
            raise _Answered
        self.log.append((request, response))
        exchange.witness.answer_status = response.status_code
        exchange.keep_alive = False  # Werkzeug closes after each of its own answers
        return response

    def respond_nohandler(self, request: Request, extra_message: str = "") -> Response:
        """Answer 404 to a request that nothing expects; the witness shows that it came."""
        del extra_message
        if self.otherwise is None:
            return Response("Not found\n", 404)
        try:
            return self.otherwise(request)
        except ConnectionError:
            raise
        except Exception as error:
            # Werkzeug would write a page about it behind what has been sent, and tell nobody.
            self.handler_errors.append(error)
            Exchange.of(request).connection.reset()
            raise _Answered from error

    def stop(self, how: Literal["close", "reset"] = "close") -> None:
        """Stop listening, end every connection so, and wait for its thread.

        Raises:
            RuntimeError: a connection's thread did not end within 5 s.

        """
        listener = self.server
        assert isinstance(listener, _Listener)
        listener.orders.give(how)
        super().stop()
        with self.changed:
            if not self.changed.wait_for(lambda: self.accepted == 0, _STOP_DEADLINE):
                raise RuntimeError(f"{self.accepted} connections of {self!r} did not end")
        for thread in listener.threads:
            thread.join(_STOP_DEADLINE)
        listener.orders.close()

    def silence(self) -> None:
        """Make every live connection fall silent; `greet` decides about later ones."""
        if isinstance(self.server, _Listener):
            self.server.orders.give("silence")

    def settle(self, timeout: float = _STOP_DEADLINE) -> None:
        """Wait until no request is being read or answered, so that witnesses are whole.

        Raises:
            TimeoutError: a request is still going on after `timeout` seconds.

        """
        with self.changed:
            listener = self.server

            if not isinstance(listener, _Listener):
                return
            if not self.changed.wait_for(listener.is_idle, timeout):
                running = "\n".join(str(c.witness) for c in listener.live - listener.idle)
                raise TimeoutError(f"still at work after {timeout:g} s:\n{running}")

    def wait_until(self, happened: Callable[[], bool], timeout: float = _STOP_DEADLINE) -> None:
        """Wait until something has been witnessed.

        Raises:
            TimeoutError: it has not happened within `timeout` seconds.

        """
        with self.changed:
            if not self.changed.wait_for(happened, timeout):
                seen = "\n".join(str(witness) for witness in self.connections)
                raise TimeoutError(f"it did not happen within {timeout:g} s; seen:\n{seen}")


class _Listener(ThreadedWSGIServer):
    """Werkzeug's threaded server, woken by a pipe instead of polling, with handshakes elsewhere."""

    def __init__(self, owner: StreamingServer, app: Any) -> None:
        self.owner = owner
        self.live: set[Connection] = set()
        self.idle: set[Connection] = set()
        self.threads: set[threading.Thread] = set()
        # Werkzeug's own beginning ends the whole program where a port is taken, and reads the
        # metadata of its package each time, which takes longer than all the rest.
        self.app, self.passthrough_errors, self._server_version = app, False, "Werkzeug"
        self.address_family = select_address_family(owner.host, owner.port)
        self.ssl_context = owner.ssl_context  # tells Werkzeug the scheme; the handler shakes hands
        try:
            socketserver.TCPServer.__init__(self, (owner.host, owner.port), _Handler)
        except OSError as error:
            where = f"cannot serve on {owner.host} port {owner.port}: {error.strerror}"
            raise OSError(error.errno, f"{where}; give a port that is free, or 0") from error
        self.orders = Orders()
        self.socket.settimeout(0)
        if self.ssl_context is not None:
            handshake_tap.tap(self.ssl_context)

    def server_bind(self) -> None:
        """Bind without asking the resolver for the host's name, as `http.server` would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.owner.host, self.server_address[1]

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        del poll_interval
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        while True:
            # What is registered before a look at the order is woken by every later one.
            waker = self.orders.fileno()
            poll.register(waker, select.POLLIN)
            if self.orders.current not in (None, "silence"):  # a silent server goes on accepting
                break
            if any(fd != waker for fd, _ in poll.poll()):
                self._handle_request_noblock()  # type: ignore[attr-defined]  # socketserver's own loop calls it
            poll.unregister(waker)
        self.server_close()

    def shutdown(self) -> None:
        """Do nothing: the order to end has ended the loop."""

    def is_idle(self) -> bool:
        """Whether every connection is between two requests, or silent for good, with all read.

        What a client sent or closed before it returned is in the kernel by now, so that nothing it
        did is missed.
        """
        at_rest = self.idle | {connection for connection in self.live if connection.silent}
        return (
            self.owner.accepted == len(at_rest)
            and not is_readable(self.fileno())
            and not any(it.input_waits for it in self.idle if not it.silent)
        )

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, client = self.socket.accept()
        # Counted here, in the accepting thread: whoever settles after a connect sees it.
        with self.owner.changed:
            self.owner.accepted += 1
        return sock, client

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name=f"peer-{self.server_port}-from-{client_address[1]}",
            daemon=True,
        )
        with self.owner.changed:
            self.threads = {t for t in self.threads if t.is_alive()} | {thread}
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self.owner.changed:
                self.owner.accepted -= 1
                self.owner.changed.notify_all()

    def shutdown_request(self, request: Any) -> None:
        """Leave the socket alone: the connection has ended it, in its own way."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Collect the error of a handler thread for `check()`, instead of printing it."""
        del request, client_address
        error = sys.exception()
        if isinstance(error, Exception):
            self.owner.handler_errors.append(error)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - Werkzeug's name
        """Say nothing: the witnesses are the log."""


class _Handler(WSGIRequestHandler):
    """One connection: greeting, handshake, then one request after another."""

    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        owner = self.server.owner
        host, port = self.client_address[:2]
        self.seen = ConnectionWitness(f"{host}:{port}", changed=owner.changed)
        self.seen.note(MomentKind.ACCEPTED, client=self.seen.client)
        self.link = Connection(self.request, self.seen, self.server.orders, timeout=owner.timeout)
        with owner.changed:
            owner.connections.append(self.seen)
            self.server.live.add(self.link)
        self.wfile = BodyWriter(self.link)  # type: ignore[assignment]

    def handle(self) -> None:
        owner = self.server.owner
        with contextlib.suppress(ConnectionError):  # witnessed where it happened
            self.link.obey()
            if owner.greet is not None and not owner.greet(self.link):
                return
            if owner.ssl_context is not None:
                self.link.handshake(owner.ssl_context)
            self.connection = self.link.sock
            self.close_connection = False
            while not self.close_connection and self.link.open:
                self.handle_one_request()

    def handle_one_request(self) -> None:
        raw_head = self._read_head()
        if raw_head is None:
            self.close_connection = True
            return
        head = read_plain_head(raw_head)
        witness = RequestWitness(self.seen, raw_head, head.method, head.target, head.headers)
        self.seen.requests.append(witness)
        witness.mark(
            "head",
            MomentKind.HEAD,
            method=show(head.method.encode()),
            target=witness.redacted_target,
            size=len(raw_head),
        )
        self.exchange = Exchange(self.link, raw_head, witness, keep_alive=False)
        status, witness.problem = 400, head.problem
        if len(raw_head) >= HEAD_LIMIT:
            status, witness.problem = 431, f"more than {HEAD_LIMIT} bytes"
        if witness.problem is not None:
            self.seen.note(MomentKind.HEAD_MALFORMED, problem=witness.problem)
            self.close_connection = True
            self.server.owner.malformed(self.exchange, status)
            return
        self._take(head)
        self.exchange.keep_alive = head.keep_alive
        self.run_wsgi()
        self.close_connection = not self.exchange.keep_alive

    def _take(self, head: PlainHead) -> None:
        """Set what `http.server` would have read from the head, which has been read already."""
        self.command, self.path, self.request_version = head.method, head.target, head.version
        self.requestline = f"{head.method} {head.target} {head.version}"
        self.headers = HTTPMessage()
        for name, value in head.headers:
            self.headers[name] = value

    def _read_head(self) -> bytes | None:
        """Wait for the next head; until it has begun to arrive, the connection counts as idle."""
        owner = self.server.owner
        if not self.link.buffered:
            with owner.changed:
                self.server.idle.add(self.link)
                owner.changed.notify_all()
            try:
                self.link.wait_for_request()
            finally:  # before a byte is read: whoever settles sees it waiting, or being read
                with owner.changed:
                    self.server.idle.discard(self.link)
        return self.link.read_head()

    def make_environ(self) -> WSGIEnvironment:
        self.rfile = BodyFile(self.link)  # type: ignore[assignment]
        environ = super().make_environ()
        environ[ENVIRON_KEY] = self.exchange
        self.rfile = Leftovers(self.link)  # type: ignore[assignment]
        return environ

    def run_wsgi(self) -> None:
        del self.headers["Expect"]  # or Werkzeug would send the 100 Continue
        super().run_wsgi()

    def finish(self) -> None:
        self.link.close()
        with self.server.owner.changed:
            self.server.live.discard(self.link)

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - Werkzeug's name
        """Say nothing: the witnesses are the log."""
