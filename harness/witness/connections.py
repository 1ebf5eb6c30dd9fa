"""What a peer saw of one connection, and of each request on it.

The peer's threads write a witness at once; a test reads it afterwards. Times are seconds of
`time.monotonic`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from deploy_relay_kit.harness.witness.clock import milliseconds, now
from deploy_relay_kit.harness.witness.moments import Moment, MomentKind
from deploy_relay_kit.harness.witness.redaction import redacted, redacted_target

Side = Literal["client", "peer"]
Ending = Literal["FIN", "RST"]
Phase = Literal["head", "body", "file", "body end", "answer", "answer end"]
"""The phases of a request: its head, the first byte of the body, the headers of the file part, the
end of the body, the first and the last byte of the answer."""


@dataclass(slots=True)
class ConnectionWitness:
    """One accepted TCP connection, also one that never became a request."""

    client: str
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    """Notified about every new moment."""
    moments: list[Moment] = field(default_factory=list)
    tls_version: str | None = None
    server_name: str | None = None
    """The SNI of the client; None without one."""
    client_certificate: bytes | None = None
    """The client's certificate, DER, also a refused one; None when it showed none."""
    handshake_error: str | None = None
    """Why the handshake failed: OpenSSL's reason, or what the client did; else None."""
    alert_sent: str | None = None
    """The last TLS alert of the peer in the handshake, such as `unknown_ca` (RFC 8446 §6.2)."""
    alert_received: str | None = None
    """The last TLS alert of the client in the handshake."""
    has_spoken: bool = False
    """Whether a ClientHello was read, or without TLS a byte of a request."""
    showed_fault: bool = False
    """Whether a fault of the peer's connections was shown on it."""
    requests: list[RequestWitness] = field(default_factory=list, repr=False)
    accepted_at: float = field(default_factory=now)
    closed_at: float | None = None
    closed_by: Side | None = None
    """The side that ended it; None while it is open."""
    closed_with: Ending | None = None

    @property
    def is_stray(self) -> bool:
        """Whether nothing on it came from a relay: a port scan, a health check.

        Such a client sends no ClientHello, or completes a handshake and requests nothing, or only
        asks for a page without credentials.
        """
        if self.requests:
            return all(request.is_stray for request in self.requests)
        return not self.showed_fault and (not self.has_spoken or self.tls_version is not None)

    def note(self, kind: MomentKind, **data: Any) -> None:
        with self.changed:
            self.moments.append(Moment(kind, data))
            self.changed.notify_all()

    def closed(self, by: Side, how: Ending) -> None:
        """Record the first close of the connection; a later one is only its echo."""
        if self.closed_by is None:
            self.closed_by, self.closed_with, self.closed_at = by, how, now()
            self.note(MomentKind.CLOSED, by=by, how=how)

    def __str__(self) -> str:
        return "\n".join(self.lines(self.accepted_at))

    def lines(self, begin: float) -> list[str]:
        """Each moment in one line, with its milliseconds since `begin`."""
        return [f"{milliseconds(begin, it.at):9.1f} ms  {it}" for it in list(self.moments)]


@dataclass(slots=True)
class RequestWitness:
    """One request: its raw head, and what the peer answered."""

    connection: ConnectionWitness
    raw_head: bytes = field(repr=False)
    method: str
    target: str = field(repr=False)
    """Path and query exactly as in the request line."""
    headers: list[tuple[str, str]] = field(repr=False)
    """In the order and the case of the head, with repetitions."""
    answer_status: int | None = None
    """Status of the final answer; None while there is none."""
    times: dict[Phase, float] = field(default_factory=dict, repr=False)
    """When each phase was first reached."""
    received_at_answer: int | None = None
    """Bytes of the raw body that had been read when the answer began."""
    last_byte_at: float | None = None
    """When the last byte of the body so far was read; None before the first."""
    problem: str | None = None
    """Why its head is malformed, and was refused; None for a head of HTTP/1."""

    def mark(self, phase: Phase, kind: MomentKind, **data: Any) -> None:
        """Record that a phase has been reached, here and in the connection's timeline."""
        if phase not in self.times:
            self.times[phase] = now()
            self.connection.note(kind, **data)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @overload
    def header(self, name: str) -> str | None: ...
    @overload
    def header(self, name: str, default: str) -> str: ...
    def header(self, name: str, default: str | None = None) -> str | None:
        """The first value of a header; case does not matter in its name."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)

    @property
    def is_stray(self) -> bool:
        """Whether no relay sends it: a GET, a HEAD or an OPTIONS without credentials."""
        is_relays = self.header("authorization") or self.header("upgrade")
        return self.method in {"GET", "HEAD", "OPTIONS"} and not is_relays

    @property
    def progress(self) -> str:
        """How far it got, while it is in progress."""
        last = self.connection.moments[-1]
        return f"{self.method} {self.redacted_target} is in progress; last seen of it: {last}"

    @property
    def redacted_head(self) -> str:
        """The raw head as text, without its credentials."""
        return redacted(self.raw_head).decode("latin-1")

    @property
    def redacted_target(self) -> str:
        """The target without its credentials, printable."""
        return redacted_target(self.target)

    def __str__(self) -> str:
        return f"{self.redacted_head.rstrip()}\n{self.connection}"
