"""Pure: what a deploy tells while it runs, and the event streams in which peers tell theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened on the way to one node.

    The names, with their data: `mint` (none; an attempt begins), `sent` (`bytes` of the payload
    handed to the connection, `total`), `phase` and `install` (the peer's own words, when it was
    asked for them: SSE-05, SSE-07, SSE-19), `retry` (`reason`, `delay` in seconds; then follows
    the `attempt` of that number; whether the node is `uncertain` until then), `settled` (`record`;
    the last event of a node, one for each, AGG-08). A restart tells `restarting` (none), and at
    last `restarted` (`record`).
    """

    node: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


class EventParser:
    """Turns the bytes of an event stream, split anywhere, into records of name and data (SSE-17).

    Lines end with LF or CRLF. Comments, ids and unknown fields are skipped. A record without a name
    is called `message`.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._name: str | None = None
        self._data: list[str] = []
        self._taken = 0

    @property
    def pending(self) -> int:
        """Bytes of the record that is not complete yet, as they came."""
        return self._taken + len(self._line)

    def feed(self, block: bytes) -> Iterator[tuple[str, str]]:
        """Take in some bytes and yield the records that they complete."""
        first, *others = block.split(b"\n")
        self._line += first
        for other in others:  # whole lines only: so no UTF-8 character is ever cut (BUG-03)
            self._taken += len(self._line) + 1
            yield from self._take(self._line.removesuffix(b"\r").decode("utf-8", "replace"))
            self._line = bytearray(other)

    def end(self) -> Iterator[tuple[str, str]]:
        """Yield the last record, should no empty line have followed it."""
        yield from self.feed(b"\n\n")

    def _take(self, line: str) -> Iterator[tuple[str, str]]:
        field_name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field_name == "event":
            self._name = value
        elif field_name == "data":
            self._data.append(value)
        elif not line:
            if self._name is not None or self._data:
                yield self._name or "message", "\n".join(self._data)
            self._name, self._data = None, []
        if self._name is None and not self._data:  # comments are not kept, so they do not count
            self._taken = 0
