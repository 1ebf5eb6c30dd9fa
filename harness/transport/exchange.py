"""One request on a live connection, as a handler of the server finds it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from werkzeug import Request

from deploy_relay_kit.harness.faults.http1 import status_line
from deploy_relay_kit.harness.transport.connection import Connection
from deploy_relay_kit.harness.witness.connections import RequestWitness
from deploy_relay_kit.harness.witness.moments import MomentKind

ENVIRON_KEY = "deploy_relay_kit.harness.transport.exchange"  # in the WSGI environment of a request
_W = TypeVar("_W", bound=RequestWitness)
_OF_EVERY_KIND = [field.name for field in fields(RequestWitness)]


@dataclass(slots=True)
class Exchange:
    """One request on a live connection, while it is being answered."""

    connection: Connection
    witness: RequestWitness
    keep_alive: bool
    """Whether both sides may use the connection for another request."""
    answered: bool = False
    """Set by a handler that answers on the connection itself."""

    @classmethod
    def of(cls, request: Request) -> Exchange:
        """The exchange of a request that pytest-httpserver gave to a handler."""
        exchange = request.environ[ENVIRON_KEY]
        assert isinstance(exchange, Exchange)
        return exchange

    def witness_as(self, kind: type[_W], **seen: Any) -> _W:
        """Replace the witness by one of a more special kind, which also has `seen`."""
        special = kind(**{name: getattr(self.witness, name) for name in _OF_EVERY_KIND}, **seen)
        requests = self.connection.witness.requests
        place = next(i for i, it in enumerate(requests) if it is self.witness)
        requests[place] = special
        self.witness = special
        return special

    def before_close(self) -> None:
        """Wait as the link does before it ends after an answer, or be lost."""
        connection, link = self.connection, self.connection.link
        if self.witness.answer_status is None or not connection.is_open:
            return
        if link.is_half_open:
            link.ending()
            connection.lose()
        if link.close_after is not None:
            link.ending()
            connection.witness.note(MomentKind.SLOW_CLOSE, seconds=link.close_after)
            connection.pause(link.close_after)

    def send_continue(self) -> None:
        """Send `100 Continue`, an interim answer."""
        self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.connection.witness.note(MomentKind.CONTINUE)


def refuse_malformed(exchange: Exchange, status: int) -> None:
    """Answer with a bare status line, and read nothing more."""
    exchange.witness.answer_status = status
    exchange.connection.write(f"{status_line(status)}\r\nConnection: close\r\n\r\n".encode())
    exchange.connection.close_unread()


def path_in(target: str) -> str:
    """The path of a request target, which may be a whole URL (RFC 9112 section 3.2.2)."""
    path = target.partition("?")[0]
    _, is_url, rest = path.partition("://")
    return f"/{rest.partition('/')[2]}" if is_url else path
