"""What a peer saw: of each connection, and on it of each upload, mint and other request.

A witness is written by the peer's threads while things happen and read by a test afterwards; times
are seconds of `time.monotonic`. Credentials are kept out of everything that prints.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from harness.wire.finding import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.wire import Field, FilePart, Finding, Framing, OperationReader, UploadReader

_NAMES = rb"token|password|secret|credential|authorization|cookie|api-?key"
# With the lines that a folded one goes on with; of a credential, a known scheme may be shown.
_CREDENTIAL_LINE = re.compile(
    rb"^([ \t]*[^\s:]{0,64}(?:"
    + _NAMES
    + rb")[^\s:]{0,64}[ \t]*:[ \t]*(?:(?:basic|bearer|digest)\b)?)"
    rb"[^\n]*?(?=\r?$)(?:\r?\n[ \t][^\n]*?(?=\r?$))*",
    re.IGNORECASE | re.MULTILINE,
)
_CREDENTIAL_IN_TARGET = re.compile(
    rb"(?<=//)[^/@\s]+(?=@)|(?<=[?&;])([^=&;\s]{0,64}(?:" + _NAMES + rb")[^=&;\s]{0,64}=)[^&;\s]*",
    re.IGNORECASE,
)


Side = Literal["client", "peer"]
Ending = Literal["FIN", "RST"]
Phase = Literal["head", "body", "file", "body end", "answer", "answer end"]
"""The phases of a request: its head, the first byte of the body, the headers of the file part, the
end of the body, the first and the last byte of the answer."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened at a peer, and when (seconds, monotonic clock)."""

    at: float
    what: str


class LaneMoment(TypedDict):
    """A moment as JSON: milliseconds since the first connection of a case, and what happened."""

    ms: float
    what: str


class Lane(TypedDict):
    """What a node saw of one connection, as JSON; credentials are left out."""

    node: str
    client: str
    moments: list[LaneMoment]


@dataclass(slots=True)
class ConnectionWitness:
    """One accepted TCP connection, also one that never became a request."""

    client: str
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    """Notified with every new moment."""
    moments: list[Moment] = field(default_factory=list)
    tls_version: str | None = None
    server_name: str | None = None
    """The SNI that the client sent; None without one."""
    client_certificate: bytes | None = None
    """The client's certificate, DER, also one that was refused; None when it showed none."""
    handshake_error: str | None = None
    """Why there was no handshake: OpenSSL's reason, or what the client did; else None."""
    alert_sent: str | None = None
    """The last TLS alert of the peer in the handshake, such as `unknown_ca` (RFC 8446 §6.2)."""
    alert_received: str | None = None
    """The last TLS alert of the client in the handshake."""
    requests: list[RequestWitness] = field(default_factory=list, repr=False)
    accepted_at: float = field(default_factory=time.monotonic)
    closed_at: float | None = None
    closed_by: Side | None = None
    """Who ended it; None while it is open."""
    closed_with: Ending | None = None
    """How the closing side did so."""

    def note(self, what: str) -> None:
        with self.changed:
            self.moments.append(Moment(time.monotonic(), what))
            self.changed.notify_all()

    def closed(self, by: Side, how: Ending) -> None:
        """Record the first close of the connection; what follows it is only its echo."""
        if self.closed_by is None:
            self.closed_by, self.closed_with, self.closed_at = by, how, time.monotonic()
            self.note(f"closed by the {by} with {how}")

    def __str__(self) -> str:
        return "\n".join(
            f"{(moment.at - self.accepted_at) * 1000:9.1f} ms  {moment.what}"
            for moment in list(self.moments)
        )


@dataclass(slots=True)
class RequestWitness:
    """One request: its raw head as it came, and what the peer answered."""

    connection: ConnectionWitness
    raw_head: bytes = field(repr=False)
    method: str
    target: str = field(repr=False)
    """Path and query exactly as they stood in the request line."""
    headers: list[tuple[str, str]] = field(repr=False)
    """In the order, the case and the number in which they came."""
    answer_status: int | None = None
    """Status of the final answer; None while there is none."""

    times: dict[Phase, float] = field(default_factory=dict, repr=False)
    """When each phase was first reached, in seconds on the monotonic clock."""
    received_at_answer: int | None = None
    """Bytes of the raw body that had been read when the answer began."""

    last_byte_at: float | None = None
    """When the last byte of the body so far was read; None before the first."""
    problem: str | None = None
    """Why its head is none of HTTP/1, so that it was refused; None when it is one."""

    def mark(self, phase: Phase, what: str) -> None:
        """Record that a phase has been reached, here and in the connection's timeline."""
        if phase not in self.times:
            self.times[phase] = time.monotonic()
            self.connection.note(what)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """The first value of a header, its name compared without case."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)

    @property
    def redacted_head(self) -> str:
        """The raw head as text, with the credentials in it cut out."""
        return redacted(self.raw_head).decode("latin-1")

    @property
    def redacted_target(self) -> str:
        """The target without the credentials in it, printable."""
        target = _CREDENTIAL_IN_TARGET.sub(_without_value, self.target.encode("latin-1"))
        return target.decode("latin-1").encode("unicode_escape").decode()

    def __str__(self) -> str:
        return f"{self.redacted_head.rstrip()}\n{self.connection}"


def redacted(head: bytes) -> bytes:
    """A raw request head without the credentials in its target and its header lines."""
    lines, end, rest = head.lstrip(b"\r\n").partition(b"\n")
    first = _CREDENTIAL_IN_TARGET.sub(_without_value, lines)
    return first + end + _CREDENTIAL_LINE.sub(_without_value, rest)


def _without_value(match: re.Match[bytes]) -> bytes:
    return (match[1] or b"") + b"(redacted)"


@dataclass(slots=True, kw_only=True)
class OperationWitness(RequestWitness):
    """One POST to the operations API that is no upload: an operation in JSON, or meant as one."""

    reader: OperationReader = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the body came whole."""
        return self.reader.complete

    @property
    def framing(self) -> Framing:
        return self.reader.framing

    @property
    def findings(self) -> list[Finding]:
        """What of its framing HTTP forbids."""
        return self.reader.findings


@dataclass(slots=True, kw_only=True)
class MintWitness(OperationWitness):
    """One `create_authentication_tokens` that reached the operations API, whole or not."""

    body: dict[str, object] = field(default_factory=dict, repr=False)
    """The operation; empty when what came is not whole or not JSON."""
    token: str | None = field(default=None, repr=False)
    """The token handed out; None when the peer gave none."""


class Fields(dict[str, bytes]):
    """Field values by name; to ask for one that did not come fails as an assertion does."""

    def __missing__(self, name: str) -> bytes:
        __tracebackhide__ = True
        raise AssertionError(f"no field {name!r} came; there are {', '.join(self) or 'none'}")


@dataclass(slots=True, kw_only=True)
class UploadWitness(RequestWitness):
    """One upload, read by the strict reader while it came."""

    reader: UploadReader = field(repr=False)

    @property
    def findings(self) -> list[Finding]:
        """Every rule of the wire format that this upload broke."""
        return self.reader.findings

    @property
    def complete(self) -> bool:
        """Whether the body came whole: closing delimiter and end of the message."""
        return self.reader.body_complete and self.reader.complete

    @property
    def fields(self) -> Fields:
        """Field values as they came, by name, in order."""
        return Fields((part.name, part.value) for part in self.reader.fields)

    @property
    def field_parts(self) -> list[Field]:
        return self.reader.fields

    @property
    def file(self) -> FilePart | None:
        return self.reader.file

    @property
    def framing(self) -> Framing:
        return self.reader.framing

    @property
    def received_after_answer(self) -> int:
        """Bytes of the raw body that were read after the answer had begun."""
        return (
            0 if self.received_at_answer is None else self.reader.received - self.received_at_answer
        )

    def summary(self) -> str:
        """What came, in a line, and each finding in another; no value of a field is shown."""
        names = ", ".join(show(part.name.encode()) for part in self.reader.fields) or "none"
        file = "no file part"
        if self.file is not None:
            whole = f"SHA-256 {self.file.sha256[:16]}…" if self.file.complete else "not to its end"
            file = f"file {self.file.length:,} bytes, {whole}"
        end = "complete" if self.complete else "not complete"
        lines = [f"upload: fields {names}; {file}; {self.framing.kind}, {end}"]
        return "\n".join([*lines, *(f"finding: {found}" for found in self.findings)])

    @property
    def token(self) -> str | None:
        """The bearer token that came with the upload."""
        scheme, _, token = (self.header("authorization") or "").partition(" ")
        return token if scheme.lower() == "bearer" else None


def timeline(title: str, connections: Iterable[ConnectionWitness]) -> str:
    """What was seen on some connections, each below its number; credentials are left out."""
    lines = [title]
    for number, seen in enumerate(connections, 1):
        lines += [f"  connection {number}", *(f"  {line}" for line in str(seen).splitlines())]
        uploads = [it for it in list(seen.requests) if isinstance(it, UploadWitness)]
        lines += [f"    {line}" for it in uploads for line in it.summary().splitlines()]
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nobody connected"])
