"""The witness of one connection of a replication socket: upgrade, messages, pings, close frames.

Times are seconds of `time.monotonic`. TLS version, SNI, client certificate, FIN and RST are in the
`ConnectionWitness`, as at the operations API.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import attrs

from deploy_relay_kit.harness.replication.frames import REQUEST, as_text
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import RequestWitness, Side
from deploy_relay_kit.harness.witness.moments import MomentKind

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
    at: float = attrs.field(factory=now)

    @property
    def request_id(self) -> Any:
        return self.body.get("requestId") if isinstance(self.body, dict) else None

    def __str__(self) -> str:
        if self.code is None:
            return f"{self.size} bytes, {self.problem}"
        return f"{self.code} {as_text(self.body)} ({self.size} bytes)"


@attrs.frozen
class CloseWitness:
    """One close frame; its code is 1005 if the frame has none."""

    code: int
    reason: str = ""
    at: float = attrs.field(factory=now)


@dataclass(slots=True, kw_only=True)
class SocketWitness(RequestWitness):
    """One connection that became a WebSocket, and its upgrade request."""

    let_in_by: LetInBy | None = None
    """Why the peer trusts the client (WS-04); None when it does not."""
    messages: list[MessageWitness] = field(default_factory=list)
    """The messages of both sides, in order."""
    pings: list[float] = field(default_factory=list)
    """When the peer read each ping; it answers each until it sends a close frame."""
    pongs: list[bytes] = field(default_factory=list)
    """The data of each pong of the client, in order."""
    close_received: CloseWitness | None = None
    close_sent: CloseWitness | None = None
    broken: str | None = None
    """How the client broke the WebSocket or the replication protocol; None if it did not."""
    tokens: list[str] = field(default_factory=list, repr=False)
    """Every operation token that was minted, in order."""

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offered, in order."""
        offered = [v for n, v in self.headers if n.lower() == "sec-websocket-protocol"]
        return [name.strip() for line in offered for name in line.split(",")]

    @property
    def operations(self) -> list[dict[str, Any]]:
        """The body of each request of the client."""
        requests = [m for m in self.messages if m.sender == "client" and m.code == REQUEST]
        return [m.body for m in requests if isinstance(m.body, dict)]

    @property
    def token(self) -> str | None:
        """The last operation token that was minted; None if there is none."""
        return self.tokens[-1] if self.tokens else None

    @property
    def closed_by(self) -> Side | None:
        """The side that sent the first close frame, or else ended the connection."""
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
        self.pings.append(now())
        self.connection.note(MomentKind.PING_RECEIVED)

    def saw_close(self, sender: Side, code: int, reason: str) -> None:
        close = CloseWitness(code, reason)
        if sender == "client":
            self.close_received, kind = close, MomentKind.CLOSE_RECEIVED
        else:
            self.close_sent, kind = close, MomentKind.CLOSE_SENT
        self.connection.note(kind, code=code, reason=reason)
