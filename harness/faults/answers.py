"""Well-formed answers of a peer, and the steps in which it sends an answer. Pure."""

from __future__ import annotations

import gzip
import itertools
import json as _json
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from attrs import Attribute, evolve, field, fields, frozen
from attrs.validators import optional

from deploy_relay_kit.harness.faults.checks import (
    check_bytes,
    check_each,
    check_encodable,
    check_instance,
    check_int,
    check_json,
    check_line,
    check_message,
    check_status,
    header_pairs,
)
from deploy_relay_kit.harness.faults.http1 import (
    BODILESS,
    LAST_CHUNK,
    chunk,
    date_line,
    encode_head,
    status_line,
)

BLOCK = 64 * 1024
_UNSET: Any = object()
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTERIM = check_int(least=100, most=199)
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def json_text(value: object) -> str:
    """A value as compact JSON that can be encoded in UTF-8."""
    text = _json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # Half a character has no bytes in UTF-8, but an escape in JSON.
    return _SURROGATE.sub(lambda it: f"\\u{ord(it[0]):04x}", text)


@frozen
class Pause:
    """Wait this many seconds before the next step."""

    seconds: float


class End(Enum):
    """How a script ends the connection; without it, the next request may follow."""

    CLOSE = "close"
    """FIN."""
    RESET = "reset"
    """RST."""
    SILENCE = "silence"
    """The connection stays open, and the peer sends nothing more."""


class Await(Enum):
    """Wait for the client before the next step."""

    UPLOAD_ENDS = "upload ends"
    """Read the rest of the upload; the steps before are an early answer."""
    FORM_ENDS = "form ends"
    """Read the upload until the profile can answer it."""


Step = bytes | Pause | Await | End
Script = Iterator[Step]


@frozen
class Answer:
    """A well-formed HTTP/1.1 answer.

    Attributes:
        status: HTTP status code; 204 and 304 have no body and no Content-Length.
        json: the body as a JSON value; leave it out to give `body`.
        body: the body as it is sent.
        times: how often `body` is sent, for large answers without the memory they would need.
        content_type: sent as Content-Type; None sends none. `json` sets it.
        headers: further header lines, in order, as a mapping or as pairs; kept as pairs.
        chunk_size: None sends Content-Length; otherwise the body is chunked, this many bytes in
            each chunk. A chunk is held in memory.
        interim: statuses of interim answers (1xx) that are sent first.
    """

    status: int = field(default=200, validator=check_status)
    json: Any = field(default=_UNSET)
    body: bytes | str = field(default=b"", validator=check_bytes | check_encodable)
    times: int = field(default=1, validator=check_int(least=1))
    content_type: str | None = field(default=None, validator=optional(check_line))
    headers: tuple[tuple[str, str], ...] = field(default=(), converter=header_pairs)
    chunk_size: int | None = field(default=None, validator=optional(check_int(least=1)))
    interim: tuple[int, ...] = field(
        default=(), validator=check_each(_INTERIM, f"a tuple of which each is {_INTERIM.allowed}")
    )

    def __repr__(self) -> str:  # without defaults, such as Answer(503, json={'error': 'busy'})
        given = (
            f"{it.name}={getattr(self, it.name)!r}"
            for it in fields(Answer)[1:]
            if getattr(self, it.name) != it.default
        )
        return f"Answer({', '.join([str(self.status), *given])})"

    @json.validator
    def _check_json(self, field: Attribute[Any], value: object) -> None:
        if value is not _UNSET:
            check_json(self, field, value)

    @status.validator
    def _check_body(self, _: Attribute[int], status: int) -> None:
        is_empty = self.json is _UNSET and not self.body
        if status in BODILESS and not (is_empty and self.chunk_size is None):
            raise ValueError(f"an answer of status {status} has no body: leave it out")

    @classmethod
    def error(
        cls,
        status: int,
        message: str | Mapping[str, Any],
        *,
        headers: Headers = (),
        interim: tuple[int, ...] = (),
    ) -> Answer:
        """A refusal in Harper's form: a JSON object with the message under `error`."""
        check_message.validate("message", message)
        return cls(status, json={"error": message}, headers=headers, interim=interim)

    @classmethod
    def redirect(cls, to: str, status: int = 307) -> Answer:
        """A redirect to another URL (HTTP-04)."""
        return cls(status, headers=(("Location", to),))

    def gzipped(self) -> Answer:
        """The same answer with a compressed body and its Content-Encoding."""
        return evolve(
            self,
            json=_UNSET,
            body=gzip.compress(self.content, mtime=0),
            content_type=self.media_type,
            headers=(*self.headers, ("Content-Encoding", "gzip")),
        )

    @property
    def content(self) -> bytes:
        """The body, sent `times` times."""
        if self.json is not _UNSET:
            return json_text(self.json).encode()
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def media_type(self) -> str | None:
        return "application/json" if self.json is not _UNSET else self.content_type

    @property
    def length(self) -> int:
        """Bytes of all the body."""
        return len(self.content) * self.times

    def head(self, *, keep_alive: bool, length_off_by: int = 0) -> bytes:
        """Interim answers, status line and headers with their empty line."""
        lines = [line for status in self.interim for line in (status_line(status), "")]
        lines.append(status_line(self.status))
        if self.media_type is not None:
            lines.append(f"content-type: {self.media_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.chunk_size is None and self.status not in BODILESS:
            lines.append(f"content-length: {self.length + length_off_by}")
        lines.append(date_line())
        if self.chunk_size is not None:
            lines.append("Transfer-Encoding: chunked")
        lines.append(f"Connection: {'keep-alive' if keep_alive else 'close'}")
        return encode_head(lines)

    def blocks(self) -> Iterator[bytes]:
        """The body as it is sent, without the last chunk."""
        if self.chunk_size is None:
            yield from self._pieces()
            return
        ahead = b""
        for piece in self._pieces():
            data = ahead + piece
            whole = len(data) - len(data) % self.chunk_size
            for start in range(0, whole, self.chunk_size):
                yield chunk(data[start : start + self.chunk_size])
            ahead = data[whole:]
        if ahead:
            yield chunk(ahead)

    def _pieces(self) -> Iterator[bytes]:
        """The body without framing, in pieces of some 64 KiB."""
        content = self.content
        repeats = max(1, BLOCK // max(1, len(content)))
        blocks, rest = divmod(self.times, repeats)
        yield from itertools.repeat(content * repeats, blocks)
        yield content * rest

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head(keep_alive=keep_alive)
        yield from self.blocks()
        if self.chunk_size is not None:
            yield LAST_CHUNK
        if not keep_alive:
            yield End.CLOSE


def continue_first(answer: Answer) -> Answer:
    """The same answer after a `100 Continue`, which Harper sends even before a 401."""
    check_instance(Answer, "an Answer, such as Answer(401)").validate("answer", answer)
    return evolve(answer, interim=(100,))
