"""The content of the parts of one upload, read as it arrives; no payload is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.witness.wire.finding import MAX_SHOWN, MAX_VALUE, Findings, Rule, show

Data = bytes | bytearray
"""A block of raw bytes; no reader keeps a reference to it."""

WINDOW = 256  # bytes kept of each end of the file


@dataclass(slots=True)
class _Part:
    """A part of the body; grows while it is read.

    Attributes:
        name: Decoded from UTF-8, undecodable bytes replaced.
        raw_header: The part's header block without the empty line.
        offset: Of the content's first byte in the de-chunked body.
        length: Bytes of content so far.
    """

    name: str
    raw_header: bytes
    offset: int
    length: int = field(default=0, init=False)
    _hash: hashlib._Hash = field(
        default_factory=hashlib.sha256, init=False, repr=False, compare=False
    )

    @property
    def sha256(self) -> str:
        """In hex, of the content so far."""
        return self._hash.hexdigest()


@dataclass(slots=True)
class Field(_Part):
    """One field part. Its length and hash are those of the whole value, also of one over 1 MiB."""

    _value: bytearray = field(default_factory=bytearray, init=False)

    @property
    def value(self) -> bytes:
        """The value, at most `MAX_VALUE` bytes of it."""
        return bytes(self._value)

    def update(self, data: Data, start: int, end: int) -> None:
        self._value += data[start : min(end, start + MAX_VALUE - len(self._value))]
        self._hash.update(memoryview(data)[start:end])
        self.length += end - start

    def finish(self, findings: Findings) -> None:
        """Note a value that is too long, or not in UTF-8."""
        name = show(self.name.encode()[:40])
        if self.length > MAX_VALUE:
            findings.note(Rule.VALUE_LENGTH, self.offset + MAX_VALUE, f"{self.length} in {name}")
            return
        try:
            self._value.decode()
        except UnicodeDecodeError as error:
            got = f"byte 0x{self._value[error.start]:02x} in {name}"
            findings.note(Rule.VALUE_UTF8, self.offset + error.start, got)


@dataclass(slots=True)
class FilePart(_Part):
    """The file part. Only the two ends of its content are kept.

    Attributes:
        filename: None when there is none.
        content_type: None when there is none.
        complete: Whether the delimiter that ends the file was seen.
        first: The first 256 bytes.
        marks: SHA-256 in hex of the first n bytes, for each wanted n that was reached.
    """

    filename: str | None
    content_type: str | None
    complete: bool = False
    first: bytes = b""
    marks: dict[int, str] = field(default_factory=dict)
    _last: Data = field(default=b"", repr=False)
    _wanted: list[int] = field(default_factory=list, repr=False)  # descending

    def __bool__(self) -> bool:
        """Whether there is a file part: see `NoFile`."""
        return True

    def mark_at(self, offsets: Iterable[int]) -> None:
        """Keep the hash of the first n bytes for each n; call it before the first byte."""
        self._wanted = sorted(set(offsets), reverse=True)
        self.update(b"", 0, 0)  # a mark at 0 needs no byte

    @property
    def last(self) -> bytes:
        """The last 256 bytes so far."""
        return bytes(self._last)

    def update(self, data: Data, start: int, end: int) -> None:
        # The path of every byte of a payload: no copies, few calls.
        while self._wanted and self._wanted[-1] <= self.length + end - start:
            start = self._mark_within(data, start)
        size = end - start
        self._hash.update(memoryview(data)[start:end])
        if self.length < WINDOW:
            self.first += data[start : min(end, start + WINDOW - self.length)]
        if size >= WINDOW:
            self._last = data[end - WINDOW : end]
        else:
            self._last = (self._last + data[start:end])[-WINDOW:]
        self.length += size

    def finish(self, _findings: Findings) -> None:
        self.complete = True

    def _mark_within(self, data: Data, start: int) -> int:
        """Read up to the next mark, and mark it; return where that was."""
        wanted = self._wanted.pop()
        mark = start + wanted - self.length
        self.update(data, start, mark)
        self.marks[wanted] = self.sha256
        return mark


class StrayContent:
    """Bytes where none belong: before the first delimiter, or after the closing one."""

    def __init__(self, rule: Rule, offset: int, **values: object) -> None:
        """Note broken `rule` at `offset` if there are any bytes; it expects `values`."""
        self._rule = rule
        self._offset = offset
        self._values = values
        self._shown = bytearray()

    def update(self, data: Data, start: int, end: int) -> None:
        self._shown += data[start : min(end, start + MAX_SHOWN - len(self._shown))]

    def finish(self, findings: Findings) -> bool:
        """Note the bytes, and return whether there are any."""
        if self._shown:
            findings.note(self._rule, self._offset, show(self._shown), **self._values)
        return bool(self._shown)


class NoFile(FilePart):
    """Stands for the file of an upload without one: false, and each attribute raises Unseen."""

    __slots__ = ("_sent",)

    def __init__(self, sent: Iterable[str]) -> None:
        """Take the names of the fields that were sent."""
        self._sent = ", ".join(map(_named, sent)) or "none"

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> NoReturn:
        """Raise; the attributes of a file part are never set here."""
        __tracebackhide__ = True
        if name.startswith("__"):  # asked by Python, which takes no for an answer
            raise AttributeError(name)
        raise Unseen(f"no file part was sent; the fields sent were {self._sent}")

    def __repr__(self) -> str:
        return "NoFile()"


def _named(name: str) -> str:
    return show(name.encode())
