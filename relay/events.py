"""Pure: the events of a deploy, and the parser of a peer's event stream."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened at one node.

    The names, with their data: `mint` (none; an attempt begins), `sent` (`bytes` of the payload
    that the connection took, of `total`), `phase` and `install` (as the peer reports them, if asked
    to: SSE-05, SSE-07, SSE-19), `no_events` (`reason`; the peer is not asked for them),
    `legacy` (`version` of a peer older than 5.1, which reports no progress), `retry`
    (`reason`, `delay` in seconds, number of the next `attempt`, whether the node is `uncertain`),
    `settled` (`record`; once for each node, as its last event: AGG-08). Events of a restart are
    `restarting` (none) and at the end `restarted` (`record`).
    """

    node: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


class EventParser:
    """Turns the bytes of an event stream, split anywhere, into names and data (SSE-17).

    Lines end with LF or CRLF. Comments, ids and unknown fields are skipped. An event without a name
    is a `message`.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._name: str | None = None
        self._data: list[str] = []
        self._taken = 0
        self.skipped = 0
        """Bytes since the last event that belong to none, such as comments."""

    @property
    def pending(self) -> int:
        """Bytes of the incomplete event."""
        return self._taken + len(self._line)

    def feed(self, block: bytes) -> Iterator[tuple[str, str]]:
        """Read some bytes and yield the events that they complete."""
        first, *others = block.split(b"\n")
        self._line += first
        if not others:
            return
        lines = [bytes(self._line), *others]
        self._line = bytearray(lines.pop())
        for line in lines:  # whole ones, so no UTF-8 character is cut (BUG-03)
            self._taken += len(line) + 1
            if self._name is not None or self._data or line[:1] not in b":":  # most of a flood
                yield from self._take(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if self._name is None and not self._data:
                self.skipped += self._taken
                self._taken = 0

    def end(self) -> Iterator[tuple[str, str]]:
        """Yield the last event, if no empty line followed it."""
        yield from self.feed(b"\n\n")

    def _take(self, line: str) -> Iterable[tuple[str, str]]:
        field_name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field_name == "event":
            self._name = value
        elif field_name == "data":
            self._data.append(value)
        elif not line and (self._name is not None or self._data):
            event = self._name or "message", "\n".join(self._data)
            self._name, self._data = None, []
            self._taken = self.skipped = 0
            return (event,)
        return ()
