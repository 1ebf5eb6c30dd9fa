"""Event streams as a peer writes them (server-sent events, SSE-01…20). Pure.

The writer's side only: how a relay reads them is the relay's own business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.faults import checks
from harness.faults.answers import Answer, Await, End, Script

PRIME = ": stream open\n\n"
MEDIA_TYPE = "text/event-stream"
HEADERS = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
_HEAD = Answer(content_type=MEDIA_TYPE, headers=HEADERS, chunk_size=1)


@dataclass(frozen=True, slots=True)
class Event:
    """One record: the event's name, and data that is sent as JSON unless it is text."""

    name: str
    data: Any

    def record(self) -> str:
        """The record as text, one `data:` line for each line of the data (SSE-04)."""
        text = self.data
        if not isinstance(text, str):
            text = json.dumps(text, separators=(",", ":"), ensure_ascii=False)
        lines = "".join(f"data: {line}\n" for line in text.replace("\r\n", "\n").split("\n"))
        return f"event: {self.name}\n{lines}\n"


StreamStep = Event | str | Await


def success_events(project: str = "demo", deployment_id: str = "5f0c6a52") -> tuple[Event, ...]:
    """The events of a deploy that succeeds, in the order in which Harper 5.1.14 sent them."""
    result = {"message": f"Successfully deployed: {project}", "deployment_id": deployment_id}
    return (
        Event("phase", {"phase": "prepare", "status": "start"}),
        Event("phase", {"phase": "prepare", "status": "done"}),
        Event("phase", {"phase": "replicate", "status": "start"}),
        Event("phase", {"phase": "replicate", "status": "done"}),
        Event("phase", {"phase": "success", "status": "done"}),
        Event("_recorder_finished", {"status": "success"}),
        Event("done", {"result": result}),
    )


def failure_events(
    message: str = "Unexpected end of data", code: int | str = 500, deployment_id: str = "5f0c6a52"
) -> tuple[Event, ...]:
    """The events of a deploy that fails, in the order in which Harper 5.1.14 sent them."""
    error = {"message": message, "code": code, "phase": "prepare", "deployment_id": deployment_id}
    return (
        Event("phase", {"phase": "prepare", "status": "start"}),
        Event("error", error),
        Event("_recorder_finished", {"status": "failed"}),
    )


@dataclass(frozen=True)
class EventStream:
    """An answer of 200 with an event stream, begun as soon as the file part's headers are in.

    Attributes:
        events: the records, in order; text among them is sent as it is. Taken one by one, so that
            an iterator may wait and then tell what it has learnt; it serves one answer only.
        line_end: LF as Harper sends, or CRLF as a proxy may.
        chunk_size: bytes per HTTP chunk; None makes each line a chunk, as Harper does.
        prime: whether `: stream open` comes first.
        after_upload: whether the events wait for the end of the upload.
        truncated: leave out the last chunk and close.
        head: gives the head of the answer, its body aside.

    """

    events: Iterable[StreamStep] = field(default_factory=success_events)
    line_end: Literal["\n", "\r\n"] = "\n"
    chunk_size: int | None = None
    prime: bool = True
    after_upload: bool = True
    truncated: bool = False
    head: Answer = field(default=_HEAD, repr=False)

    @property
    def status(self) -> int:
        return self.head.status

    def __post_init__(self) -> None:
        if isinstance(self.events, str) or not isinstance(self.events, Iterable):
            example = f"give several, such as ({self.events!r},)"
            raise ValueError(f"events {self.events!r}: {example}")  # noqa: TRY004 - as of any fault
        checks.word("line_end", self.line_end, ("\n", "\r\n"))
        if self.chunk_size is not None:
            checks.whole("chunk_size", self.chunk_size, least=1)

    def script(self, *, keep_alive: bool) -> Script:
        yield self.head.head(keep_alive=keep_alive and not self.truncated)
        if self.prime:
            yield from self._chunks(PRIME)
        if self.after_upload:
            yield Await.UPLOAD_ENDS
        for event in self.events:
            if isinstance(event, Await):
                yield event
                continue
            yield from self._chunks(event if isinstance(event, str) else event.record())
        if self.truncated:
            yield End.CLOSE
        else:
            yield b"0\r\n\r\n"
            if not keep_alive:
                yield End.CLOSE

    def _chunks(self, text: str) -> Iterator[bytes]:
        data = text.replace("\n", self.line_end).encode()
        if self.chunk_size is None:
            pieces = data.splitlines(keepends=True)
        else:
            pieces = [data[i : i + self.chunk_size] for i in range(0, len(data), self.chunk_size)]
        for piece in pieces:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
