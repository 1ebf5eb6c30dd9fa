"""What a peer says on the wire: answers whole or broken, each a script of bytes and pauses. Pure.

A script is what the peer executes on the socket, so that each way of answering is a function from
values to steps, and can be read and tested without one.
"""

from __future__ import annotations

import gzip
import json as _json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import Enum
from http.client import responses
from typing import Any, Literal, TypedDict, Unpack

from harness.faults import checks

_BLOCK = 64 * 1024
_UNSET: Any = object()
BODILESS = frozenset({204, 304})
"""Statuses of answers that end with their head (RFC 9110 sections 15.3.5 and 15.4.5)."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds before the next step."""

    seconds: float


class End(Enum):
    """How a script leaves the connection, when not open for the next request."""

    CLOSE = "close"
    """FIN."""
    RESET = "reset"
    """RST."""
    SILENCE = "silence"
    """Neither; the connection stays open, and nothing more is ever sent on it."""


class Await(Enum):
    """Go on with a script only when the client has done something."""

    UPLOAD_ENDS = "upload ends"
    """Read the rest of the upload first; what was sent so far is an early answer."""
    FORM_ENDS = "form ends"
    """The same, but only to where the profile has enough of it for an answer."""


Step = bytes | Pause | Await | End
Script = Iterator[Step]


class HowSent(TypedDict, total=False):
    """What an `Answer` takes besides its status and its body; it explains them."""

    headers: Headers
    chunk_size: int | None
    interim: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """A well-formed HTTP/1.1 answer.

    Attributes:
        status: HTTP status code; 204 and 304 have no body, and announce none.
        json: the body as a JSON value; leave out to give `body`.
        body: the body as it goes on the wire.
        times: how often `body` is sent over, for large answers that nobody holds in memory.
        content_type: sent as Content-Type; None sends none. `json` sets it.
        headers: further header lines, in order.
        chunk_size: None announces Content-Length; else the body is sent chunked in chunks of this
            many bytes, each of them made whole in memory.
        interim: statuses of interim answers (1xx) that are sent first.

    """

    status: int = 200
    json: Any = field(default=_UNSET, repr=False)
    body: bytes | str = b""
    times: int = 1
    content_type: str | None = None
    headers: Headers = ()
    chunk_size: int | None = None
    interim: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        checks.status(self.status)
        checks.whole("times", self.times, least=1)
        if self.chunk_size is not None:
            checks.whole("chunk_size", self.chunk_size, least=1)
        if self.status in BODILESS and (self.content or self.chunk_size is not None):
            raise ValueError(f"status {self.status}: such an answer has no body; leave it out")
        for status in self.interim:
            checks.whole("interim", status, least=100, most=199)

    @classmethod
    def error(cls, status: int, message: str, **how: Unpack[HowSent]) -> Answer:
        """A refusal in the form that Harper gives it: a JSON object with the text under `error`."""
        return cls(status, json={"error": message}, **how)

    @classmethod
    def redirect(cls, to: str, status: int = 307) -> Answer:
        """A redirect to another URL (HTTP-04)."""
        return cls(status, headers=(("Location", to),))

    def gzipped(self) -> Answer:
        """The same answer with its body compressed, as Content-Encoding says."""
        return replace(
            self,
            json=_UNSET,
            body=gzip.compress(self.content, mtime=0),
            content_type=self.media_type,
            headers=(*self.headers, ("Content-Encoding", "gzip")),
        )

    @property
    def content(self) -> bytes:
        """The bytes of the body, once."""
        if self.json is not _UNSET:
            return _json.dumps(self.json, separators=(",", ":"), ensure_ascii=False).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def media_type(self) -> str | None:
        return "application/json" if self.json is not _UNSET else self.content_type

    @property
    def length(self) -> int:
        """Bytes of the whole body."""
        return len(self.content) * self.times

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        """Interim answers, status line and headers with their empty line."""
        lines = []
        for status in self.interim:
            lines += [status_line(status), ""]
        lines.append(status_line(self.status))
        if self.media_type is not None:
            lines.append(f"content-type: {self.media_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunk_size is None and self.status not in BODILESS:
            lines.append(f"content-length: {self.length + length_off_by}")
        lines.append(f"Date: {formatdate(usegmt=True)}")
        if self.chunk_size is not None:
            lines.append("Transfer-Encoding: chunked")
        lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def blocks(self) -> Iterator[bytes]:
        """The body as it goes on the wire, chunk framing included but for the last chunk."""
        if self.chunk_size is None:
            yield from self._pieces()
            return
        ahead = b""
        for piece in self._pieces():
            data = ahead + piece
            whole = len(data) - len(data) % self.chunk_size
            for start in range(0, whole, self.chunk_size):
                yield _chunk(data[start : start + self.chunk_size])
            ahead = data[whole:]
        if ahead:
            yield _chunk(ahead)

    def _pieces(self) -> Iterator[bytes]:
        """The body without framing, repeated, in pieces of some 64 KiB."""
        content = self.content
        repeats = max(1, _BLOCK // max(1, len(content)))
        whole, rest = divmod(self.times, repeats)
        for _ in range(whole):
            yield content * repeats
        yield content * rest

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive)
        yield from self.blocks()
        if self.chunk_size is not None:
            yield b"0\r\n\r\n"
        if not keep_alive:
            yield End.CLOSE


class _OfAnother:
    """Another answer, sent in a way of its own."""

    answer: Answer | ContentLengthOff | UnfinishedChunks | Drip

    @property
    def status(self) -> int:
        return self.answer.status


@dataclass(frozen=True)
class ContentLengthOff(_OfAnother):
    """Announce `by` bytes more (or, negative, fewer) than the body has, then close with FIN."""

    answer: Answer
    by: int

    def __post_init__(self) -> None:
        checks.whole("by", self.by, least=-self.answer.length)

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield self.answer.head(keep_alive=False, length_off_by=self.by)
        yield from self.answer.blocks()
        yield End.CLOSE


@dataclass(frozen=True)
class UnfinishedChunks(_OfAnother):
    """Send the body chunked, leave out the last chunk, then close (RES-12)."""

    answer: Answer
    end: Literal["close", "reset"] = "close"

    def __post_init__(self) -> None:
        checks.word("end", self.end, ("close", "reset"))

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        answer = replace(self.answer, chunk_size=self.answer.chunk_size or _BLOCK)
        yield answer.head(keep_alive=False)
        yield from answer.blocks()
        yield End(self.end)


@dataclass(frozen=True)
class HeadThenSilence(_OfAnother):
    """Send the head of an answer that announces a body, and then nothing more."""

    answer: Answer

    def script(self, *, keep_alive: bool) -> Script:
        yield self.answer.head(keep_alive=keep_alive)
        yield End.SILENCE


@dataclass(frozen=True)
class EndlessHead:
    """Send a status line and then header lines, as fast as they are taken, for ever."""

    status: int = 200

    def __post_init__(self) -> None:
        checks.status(self.status)

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield f"{status_line(self.status)}\r\n".encode()
        while True:
            yield b"x-more: there is no end to this\r\n" * 100


@dataclass(frozen=True)
class Drip(_OfAnother):
    """Send an answer a byte at a time, at this many bytes per second."""

    answer: Answer | ContentLengthOff | UnfinishedChunks
    bytes_per_second: float

    def __post_init__(self) -> None:
        checks.number("bytes_per_second", self.bytes_per_second, above=0)

    def script(self, *, keep_alive: bool) -> Script:
        for step in self.answer.script(keep_alive=keep_alive):
            if isinstance(step, bytes):
                for i in range(len(step)):
                    yield step[i : i + 1]
                    yield Pause(1 / self.bytes_per_second)
            else:
                yield step


@dataclass(frozen=True)
class Held(_OfAnother):
    """Hold an answer back until something has happened.

    Attributes:
        answer: what is answered then.
        until: called in the thread of the connection. The answer follows when it returns, and a
            reset when it raises TimeoutError; give it a limit, such as
            `functools.partial(event.wait, 5)`.

    """

    answer: Answer | ContentLengthOff | UnfinishedChunks | Drip
    until: Callable[[], object]

    def __post_init__(self) -> None:
        checks.function("until", self.until)

    def script(self, *, keep_alive: bool) -> Script:
        try:
            self.until()
        except TimeoutError:
            yield End.RESET
            return
        yield Pause(0)  # a client that has gone is answered nothing
        yield from self.answer.script(keep_alive=keep_alive)


AnyAnswer = (
    Answer | ContentLengthOff | UnfinishedChunks | HeadThenSilence | EndlessHead | Drip | Held
)


def continue_first(answer: Answer) -> Answer:
    """The same answer behind a `100 Continue`, as Harper sends one even before a 401."""
    return replace(answer, interim=(100,))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"
