"""What a replication socket saw on one connection: the upgrade, each message, each ping, the end.

Times are seconds of `time.monotonic`. The connection itself (TLS version, SNI, client certificate,
FIN or RST) is witnessed by the `ConnectionWitness` underneath, as at the operations API.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import attrs

from harness.replication.frames import REQUEST, redacted
from harness.witness.connections import RequestWitness, Side
from harness.witness.moments import MomentKind

LetInBy = Literal["address", "certificate", "authorization"]


@attrs.frozen
class MessageWitness:
    """One message.

    Attributes:
        sender: the side that sent it.
        size: bytes of the message.
        code: the code of a control message; None for any other message.
        body: the value after the code; None for the padded message of `HugeAnswer`.
        problem: why it is not a control message; None when it is one.
        at: when it was received, or when it had been sent.
    """

    sender: Side
    size: int
    code: int | None
    body: Any = attrs.field(repr=False)
    problem: str | None = None
    at: float = attrs.field(factory=time.monotonic)

    @property
    def request_id(self) -> Any:
        return self.body.get("requestId") if isinstance(self.body, dict) else None

    def __str__(self) -> str:
        if self.code is None:
            return f"{self.size} bytes, {self.problem}"
        return f"{self.code} {redacted(self.body)} ({self.size} bytes)"


@attrs.frozen
class CloseWitness:
    """One close frame; its code is 1005 if the frame has none."""

    code: int
    reason: str = ""
    at: float = attrs.field(factory=time.monotonic)


@dataclass(slots=True, kw_only=True)
class SocketWitness(RequestWitness):
    """One connection that became a WebSocket; head, target and headers are those of its upgrade."""

    let_in_by: LetInBy | None = None
    """What made the peer trust the client (WS-04); None when nothing did."""
    messages: list[MessageWitness] = field(default_factory=list)
    """Of both sides, in the order in which the peer read and sent them."""
    pings: list[float] = field(default_factory=list)
    """When each ping of the client was read; each has been answered."""
    close_received: CloseWitness | None = None
    close_sent: CloseWitness | None = None
    broken: str | None = None
    """How the client broke the WebSocket protocol (RFC 6455) or sent what is no control message."""
    tokens: list[str] = field(default_factory=list, repr=False)
    """Every operation token that was minted for an answer, in order."""

    @property
    def subprotocols(self) -> list[str]:
        """What the client offered, in its order."""
        offered = [v for n, v in self.headers if n.lower() == "sec-websocket-protocol"]
        return [name.strip() for line in offered for name in line.split(",")]

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The body of each request of the client, with its `operation` and `requestId`."""
        requests = [m for m in self.messages if m.sender == "client" and m.code == REQUEST]
        return [m.body for m in requests if isinstance(m.body, dict)]

    @property
    def token(self) -> str | None:
        """The last operation token that was minted here; None when there was none."""
        return self.tokens[-1] if self.tokens else None

    @property
    def closed_by(self) -> str | None:
        """`client` or `peer`: who sent the first close frame, or else who ended the connection."""
        sent, received = self.close_sent, self.close_received
        if received is not None and (sent is None or received.at <= sent.at):
            return "client"
        return "peer" if sent is not None else self.connection.closed_by

    def saw(self, message: MessageWitness) -> None:
        self.messages.append(message)
        received = message.sender == "client"
        kind = MomentKind.MESSAGE_RECEIVED if received else MomentKind.MESSAGE_SENT
        self.connection.note(kind, message=message)

    def saw_ping(self) -> None:
        self.pings.append(time.monotonic())
        self.connection.note(MomentKind.PING_RECEIVED)

    def saw_close(self, sender: Side, code: int, reason: str) -> None:
        close = CloseWitness(code, reason)
        if sender == "client":
            self.close_received, kind = close, MomentKind.CLOSE_RECEIVED
        else:
            self.close_sent, kind = close, MomentKind.CLOSE_SENT
        self.connection.note(kind, code=code, reason=reason)
