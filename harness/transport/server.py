"""pytest-httpserver made streaming, witnessed, and quick to start and stop.

pytest-httpserver reads a whole body before any handler runs, shakes hands in its accepting thread,
and polls twice a second for its end. Here a handler runs as soon as the request head has been read,
each connection has a thread from the start, and `stop` wakes every thread and waits for it.
"""

import contextlib
import ipaddress
import ssl
import threading
from collections.abc import Callable
from typing import Any

from pytest_httpserver import HTTPServer
from pytest_httpserver.httpserver import UNDEFINED
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException, InternalServerError

from deploy_relay_kit.harness.transport import handshake
from deploy_relay_kit.harness.transport.connection import Connection
from deploy_relay_kit.harness.transport.control import Command
from deploy_relay_kit.harness.transport.exchange import Exchange, refuse_malformed
from deploy_relay_kit.harness.transport.listener import AcceptPlan, Healthy, Listener
from deploy_relay_kit.harness.transport.requests import (
    send_response,
    serve_requests,
    werkzeug_request,
)
from deploy_relay_kit.harness.witness.connections import ConnectionWitness

_WAIT = 5.0  # seconds


class StreamingServer(HTTPServer):
    """A pytest-httpserver on a loopback address whose handlers see requests as they arrive.

    Handlers registered with `expect_request` work as usual, with two limits: a match by `data` or
    `json` would read the body first, and is refused; a handler that speaks on the socket itself
    takes `Exchange.of(request)` and sets `answered`.

    Attributes:
        ssl_context: serves TLS from the next `start` on; None serves plain HTTP.
        plan: what to do with connections before they are accepted.
        otherwise: answers a request that no `expect_request` matches, or leaves it for a 404.
        malformed: refuses a request with a malformed head, with a status, and ends the connection.
        connections: the witness of every accepted connection, in order.
        changed: notified about each new moment of a witness.
        has_presented: whether `present` has given it another certificate.
    """

    has_presented = False

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        greet: Callable[[Connection], bool] | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Prepare a server; nothing listens before `start`.

        Args:
            host: loopback address to bind.
            port: TCP port; 0 takes a free port.
            greet: called for each accepted connection, in its own thread, before the TLS handshake;
                False ends the connection (a fault has been shown).
            timeout: longest wait for one read or write on a connection, in seconds.

        Raises:
            ValueError: `host` is not of the loopback.
        """
        if host != "localhost" and not _is_loopback(host):
            raise ValueError(
                f"host {host!r}: a fake peer serves on the loopback only, out of reach of other "
                "machines; give an address such as 127.0.0.1 or ::1"
            )
        super().__init__(host, port)
        self.greet = greet
        self.timeout = timeout
        self.plan: AcceptPlan = Healthy()
        self.otherwise: Callable[[Exchange], None] | None = None
        self.malformed: Callable[[Exchange, int], None] = refuse_malformed
        self.connections: list[ConnectionWitness] = []
        self.changed = threading.Condition()
        self._listener: Listener | None = None

    def create_matcher(self, *args: Any, **kwargs: Any) -> Any:
        for name in ("data", "json"):
            if kwargs.get(name) not in (None, UNDEFINED):
                raise ValueError(f"expect_request({name}=…) would read the body; match by path")
        return super().create_matcher(*args, **kwargs)

    @property
    def accepted(self) -> int:
        """Connections whose thread has not ended."""
        return self._listener.accepted if self._listener else 0

    def is_running(self) -> bool:
        return self._listener is not None

    def present(self, context: ssl.SSLContext) -> None:
        """Serve TLS with another context, and so another certificate, on later connections."""
        handshake.tap(context)
        self.ssl_context, self.has_presented = context, True

    def start(self) -> None:
        if self.is_running():
            raise RuntimeError(f"the server on port {self.port} is already running")
        if self.ssl_context is not None:
            handshake.tap(self.ssl_context)
        listener = Listener(
            self.host,
            self.port,
            self._serve,
            timeout=self.timeout,
            plan=self.plan,
            witnesses=self.connections,
            changed=self.changed,
        )
        self.port, self._listener = listener.port, listener
        listener.start()

    def _serve(self, connection: Connection) -> None:
        """Serve one connection, in its thread."""
        try:
            connection.obey()
            if self.greet is not None and not self.greet(connection):
                return
            connection.wait_for_request()  # a client that sends nothing has nothing in progress
            if self.ssl_context is not None:
                connection.pause(connection.link.handshake_delay())
                handshake.shake_hands(connection, self.ssl_context)
            serve_requests(connection, self._answer, self.malformed)
        except ConnectionError:
            pass  # witnessed where it happened
        except Exception as error:  # noqa: BLE001 - raised again by `check()`
            self.handler_errors.append(error)

    def _answer(self, exchange: Exchange) -> None:
        request = werkzeug_request(exchange)
        try:
            response = self.dispatch(request)
        except ConnectionError:
            raise
        except HTTPException as error:
            response = error.get_response()
        except Exception:  # noqa: BLE001 - `dispatch` has kept it for `check()`
            response = InternalServerError().get_response()
        if not exchange.answered:
            self.log.append((request, response))
            send_response(exchange, response)

    def respond_nohandler(self, request: Request, extra_message: str = "") -> Response:
        """Answer a request that no `expect_request` matches."""
        del extra_message
        exchange = Exchange.of(request)
        if self.otherwise is not None:
            try:
                self.otherwise(exchange)
            except ConnectionError:
                raise
            except Exception as error:  # noqa: BLE001 - raised again by `check()`
                self.handler_errors.append(error)
                exchange.connection.reset()
                exchange.answered = True
        return Response("Not found\n", 404)  # not sent if the exchange is answered

    def stop(self, command: Command = Command.CLOSE) -> None:
        """Stop listening, end every connection by a command, and wait for its thread.

        Raises:
            RuntimeError: a connection's thread did not end within 5 s.
        """
        assert self._listener is not None, "the server is not running"
        listener, self._listener = self._listener, None
        listener.stop(command)

    def silence(self) -> None:
        """Make every connection silent, also later ones."""
        if self._listener is not None:
            self._listener.control.give(Command.SILENCE)

    def settle(self, timeout: float = _WAIT) -> None:
        """Wait until no request is being read or answered, so that witnesses are complete.

        Raises:
            TimeoutError: a request has not ended after `timeout` seconds.
        """
        if (listener := self._listener) is not None:
            self._wait_for(listener.is_at_rest, f"still at work after {timeout:g} s", timeout)

    def wait_until(self, happened: Callable[[], bool], timeout: float = _WAIT) -> None:
        """Wait until something has been witnessed.

        Raises:
            TimeoutError: it has not happened within `timeout` seconds.
        """
        self._wait_for(happened, f"it did not happen within {timeout:g} s; seen", timeout)

    def _wait_for(self, happened: Callable[[], bool], problem: str, timeout: float) -> None:
        with self.changed:
            if not self.changed.wait_for(happened, timeout):
                seen = "\n".join(str(witness) for witness in self.connections)
                raise TimeoutError(f"{problem}:\n{seen}")


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
