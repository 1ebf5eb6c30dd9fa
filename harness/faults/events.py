"""Event streams as a peer writes them (server-sent events, SSE-01 to SSE-20). Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import optional

from deploy_relay_kit.harness.faults.answers import (
    Answer,
    Await,
    End,
    Script,
    json_text,
)
from deploy_relay_kit.harness.faults.checks import (
    Check,
    check_bool,
    check_choice,
    check_encodable,
    check_instance,
    check_int,
    check_json,
    check_line,
    check_text,
)
from deploy_relay_kit.harness.faults.http1 import LAST_CHUNK, chunk

PRIME = ": stream open\n\n"
MEDIA_TYPE = "text/event-stream"
HEADERS = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
LineEnd = Literal["\n", "\r\n"]
_HEAD = Answer(content_type=MEDIA_TYPE, headers=HEADERS, chunk_size=1)
_check_data = Check(
    lambda it: check_encodable.allows(it) if isinstance(it, str) else check_json.allows(it),
    f"{check_json.allowed}; no half characters in a text",
)


@frozen
class Event:
    """One event; data that is not text is sent as JSON."""

    name: str = field(validator=check_line)
    data: Any = field(validator=_check_data)

    def record(self) -> str:
        """The event as text, with one `data:` line for each line of the data (SSE-04)."""
        text = self.data
        if not isinstance(text, str):
            text = json_text(text)
        lines = "".join(f"data: {line}\n" for line in text.replace("\r\n", "\n").split("\n"))
        return f"event: {self.name}\n{lines}\n"


StreamStep = Event | str | Await


def _are_events(value: Any) -> bool:
    if isinstance(value, list | tuple):  # an iterator may not be read ahead
        return all(isinstance(it, Event | Await) or check_encodable.allows(it) for it in value)
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


_check_events = Check(_are_events, "an iterable of events and texts, such as (Event(…),)")


def phase_event(phase: str, status: str) -> Event:
    return Event("phase", {"phase": phase, "status": status})


def finished_event(status: str) -> Event:
    """The event that Harper sends before the last one, or after an error."""
    return Event("_recorder_finished", {"status": status})


def success_events(project: str = "demo", deployment_id: str = "5f0c6a52") -> tuple[Event, ...]:
    """The events of a successful deploy, in the order of Harper 5.1.14."""
    check_text.validate("project", project)
    check_text.validate("deployment_id", deployment_id)
    result = {"message": f"Successfully deployed: {project}", "deployment_id": deployment_id}
    return (
        phase_event("prepare", "start"),
        phase_event("prepare", "done"),
        phase_event("replicate", "start"),
        phase_event("replicate", "done"),
        phase_event("success", "done"),
        finished_event("success"),
        Event("done", {"result": result}),
    )


def failure_events(
    message: str = "Unexpected end of data", code: int | str = 500, deployment_id: str = "5f0c6a52"
) -> tuple[Event, ...]:
    """The events of a failed deploy, in the order of Harper 5.1.14."""
    check_text.validate("message", message)
    check_json.validate("code", code)
    check_text.validate("deployment_id", deployment_id)
    error = {"message": message, "code": code, "phase": "prepare", "deployment_id": deployment_id}
    return phase_event("prepare", "start"), Event("error", error), finished_event("failed")


@frozen
class EventStream:
    """An answer of 200 with an event stream; it begins after the headers of the file part.

    Attributes:
        events: the events, in order; a text is sent as it is. An iterator may wait for something
            between two events; it serves one answer.
        line_end: LF as Harper sends, or CRLF as a proxy may.
        chunk_size: bytes per HTTP chunk; None makes each line a chunk, as Harper does.
        prime: whether `: stream open` is sent first.
        after_upload: whether the events wait for the end of the upload.
        truncated: leave out the last chunk and close.
        head: an answer whose head is sent.
    """

    events: Iterable[StreamStep] = field(factory=success_events, validator=_check_events)
    line_end: LineEnd = field(default="\n", validator=check_choice(LineEnd))
    chunk_size: int | None = field(default=None, validator=optional(check_int(least=1)))
    prime: bool = field(default=True, validator=check_bool)
    after_upload: bool = field(default=True, validator=check_bool)
    truncated: bool = field(default=False, validator=check_bool)
    head: Answer = field(
        default=_HEAD, repr=False, validator=check_instance(Answer, "an Answer, whose head is sent")
    )

    @property
    def status(self) -> int:
        return self.head.status

    def script(self, *, keep_alive: bool) -> Script:
        keep_alive = keep_alive and not self.truncated
        yield self.head.head(keep_alive=keep_alive)
        if self.prime:
            yield from self._chunks(PRIME)
        if self.after_upload:
            yield Await.UPLOAD_ENDS
        for event in self.events:
            if isinstance(event, Await):
                yield event
            else:
                yield from self._chunks(event if isinstance(event, str) else event.record())
        if not self.truncated:
            yield LAST_CHUNK
        if not keep_alive:
            yield End.CLOSE

    def _chunks(self, text: str) -> Iterator[bytes]:
        data = text.replace("\n", self.line_end).encode()
        if self.chunk_size is None:
            pieces = data.splitlines(keepends=True)
        else:
            pieces = [data[i : i + self.chunk_size] for i in range(0, len(data), self.chunk_size)]
        yield from map(chunk, pieces)
