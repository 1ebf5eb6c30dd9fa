"""Pure: what a peer answered, as members of its record (RES-01…15, SSE-03…18)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from relay.errors import PeerError
from relay.events import EventParser

RAW_REASON_UNITS = 200  # UTF-16 units of a raw body that serve as a reason (RES-07)
EVENT_STREAM = "text/event-stream"
_PROGRESS = {"phase", "install"}
SUCCESS = range(200, 300)  # HTTP-05
_HTTP_CODES = range(100, 600)
GATEWAY = frozenset({502, 504})  # of one that has lost patience with a peer, which may go on
_TRY_AGAIN = GATEWAY | {503}  # RTY-04
_DEEPEST = 100  # levels of a JSON value
_UNPARSABLE = object()

Hide = Callable[[str], str]


@dataclass(frozen=True)
class Answer:
    """One complete HTTP answer; `cut` when the rest of a long body was left unread (BUG-30).

    `hide` takes secrets out of a raw body before it is shortened, or part of one might stay.
    """

    status: int
    body: bytes
    retry_after: float | None = None
    """Seconds, from the header of that name."""
    cut: bool = False
    hide: Hide = str

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def is_event_stream(status: int, content_type: str) -> bool:
    """Whether this answer tells its outcome in events; a refusal never does (SSE-02, SSE-18)."""
    return status in SUCCESS and content_type.partition(";")[0].strip().lower() == EVENT_STREAM


def success_members(answer: Answer) -> dict[str, object]:
    """What a success record takes over from the answer.

    Raises:
        PeerError: It is not a success, or too long to be read.
    """
    if answer.status not in SUCCESS:
        raise PeerError(
            "answer",
            failure_reason(answer),
            status_code=answer.status,
            retryable=answer.status in _TRY_AGAIN,
            retry_after=answer.retry_after,
        )
    if answer.cut:
        long = f"HTTP {answer.status}, but the answer is longer than {len(answer.body)} bytes"
        raise PeerError("answer", long, uncertain=True)
    return _members(parse_json(answer.text), answer.text)


def failure_reason(answer: Answer) -> str:
    """The peer's own words for a refusal, or `HTTP <code>` (RES-06…09, BUG-02)."""
    text = answer.text
    if text.startswith(("data:", "event:", ":")):  # an event stream was asked for
        told = EventParser().feed(answer.body + b"\n\n")
        text = next((data for _, data in told if data), text)
    return _told(parse_json(text), answer.hide(text)) or f"HTTP {answer.status}"


class StreamedAnswer:
    """An answer in events, taken in as it comes: `done` is success, `error` failure (SSE-09).

    A stream with both is a failure (SSE-11), and so is one with neither (SSE-16, BUG-36).
    """

    def __init__(self, longest: int, hide: Hide = str) -> None:
        """`longest`: bytes of one event that are borne (BUG-30); `hide`: as of `Answer`."""
        self._parser = EventParser()
        self._longest = longest
        self._hide = hide
        self._result: dict[str, object] | None = None

    @property
    def is_done(self) -> bool:
        return self._result is not None

    def feed(self, block: bytes) -> Iterator[tuple[str, dict[str, object]]]:
        """Take in some bytes; yield the phases and install lines in them.

        Raises:
            PeerError: The deploy failed, in the peer's own words.
        """
        for name, text in self._parser.feed(block):
            if progress := self._take(name, text):
                yield progress
        if self._parser.pending > self._longest:
            long = f"an event is longer than {self._longest} bytes"
            raise PeerError("answer", long, uncertain=True)

    def end(self) -> dict[str, object]:
        """The members that a success record takes over, once the stream has ended.

        Raises:
            PeerError: It was no success.
        """
        for name, text in self._parser.end():
            self._take(name, text)
        if self._result is None:
            reason = "the event stream ended without telling how the deploy did"
            raise PeerError("answer", reason, uncertain=True)
        return self._result

    def _take(self, name: str, text: str) -> tuple[str, dict[str, object]] | None:
        value = parse_json(text)
        members = value if isinstance(value, dict) else {}
        if name == "error" or (name == "message" and "error" in members):
            self._result = None
            code = members.get("code")  # a number, or a word such as ERR_INVALID_ARG_TYPE
            status = code if type(code) is int and code in _HTTP_CODES else None
            reason = _told(value, self._hide(text)) or "the peer reported an error without words"
            raise PeerError("answer", reason, status_code=status, in_stream=True)
        if name == "done":
            self._result = _members(members.get("result", value), text)
        return (name, members) if name in _PROGRESS and members else None


def parse_json(text: str) -> Any:
    """The JSON value of a text, or a value that is equal to nothing else.

    What is nested too deeply for whoever prints a record counts as text.
    """
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return _UNPARSABLE
    level = [value]
    for _ in range(_DEEPEST):
        inner = [
            v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)
        ]
        level = [item for items in inner for item in items]
        if not level:
            return value
    return _UNPARSABLE


def _members(value: object, text: str) -> dict[str, object]:
    if value is _UNPARSABLE:
        return {"message": text}  # RES-03
    if isinstance(value, dict):
        return value  # RES-14: also with an `error` member
    return {"result": value}  # RES-04, done better


def _told(value: object, text: str) -> str:
    """RES-06: what stands under `error`, else under `message`, else the text itself, shortened."""
    told: object = None
    if isinstance(value, dict):
        told = value.get("error")
        if told is None:
            told = value.get("message")
    return _first_units(text) if told is None else readable(told)


def readable(told: object) -> str:
    """What a peer has told, in words: a text, the message of an object, or its JSON (RES-08)."""
    if isinstance(told, dict) and isinstance(told.get("message"), str):
        told = told["message"]
    if isinstance(told, str):
        return told
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False, default=str)


def _first_units(text: str) -> str:
    """The first 200 UTF-16 units, without half a character at the end (RES-07)."""
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * RAW_REASON_UNITS]
    return units.decode("utf-16-le", "ignore")


def _finite(text: str) -> float:
    if math.isfinite(value := float(text)):
        return value
    raise ValueError(f"{text} is not a number that JSON can hold")
