"""Pure: an answer of a peer as members of its record (RES-01…15, SSE-03…18)."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.events import EventParser

RAW_REASON_UNITS = 200  # UTF-16 units of a raw body that become a reason (RES-07)
EVENT_STREAM = "text/event-stream"
PROGRESS = frozenset({"phase", "install"})
SUCCESS = range(200, 300)  # HTTP-05
_HTTP_CODES = range(100, 600)
GATEWAY = frozenset({502, 504})  # the gateway gave up; the peer may have gone on
_TRY_AGAIN = GATEWAY | {503}  # RTY-04
_NO_EARLY_ANSWERS = re.compile("nginx|openresty|caddy", re.IGNORECASE)
_PAGE = re.compile(r"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]*>([^<]*)<", re.IGNORECASE)
_HEAD_OF_A_PAGE = 4_096  # characters, in which its title stands
_MAX_DEPTH = 100  # levels of a JSON value
_MOST_EVENTS = 100_000  # of a stream; npm reports some thousand lines
_MOST_COMMENTS = 1 << 20  # bytes from one event to the next
_LONGEST_STREAM = 16 << 20  # bytes, beside the limit of one event
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # in JSON
_CODINGS = re.compile(r"[a-z0-9_-]{1,20}(, [a-z0-9_-]{1,20}){0,3}", re.ASCII)
_UNPARSABLE = object()

Hide = Callable[[str], str]


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end or to the size limit."""

    status: int
    body: bytes
    retry_after: float | None = None  # seconds
    hint: str | None = None  # the usual cause of this refusal
    cut: bool = False  # whether the rest of a long body was not read (BUG-30)
    hide: Hide = str  # removes secrets; shortening a text first may cut a secret in two

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def is_event_stream(status: int, content_type: str) -> bool:
    """Whether the answer reports its result in events; a refusal never does (SSE-02, SSE-18)."""
    return status in SUCCESS and content_type.partition(";")[0].strip().lower() == EVENT_STREAM


def unasked_coding(codings: Sequence[str]) -> str:
    """What to say of an answer with these `Content-Encoding` headers; empty if it has none.

    The relay asks for no coding. It decodes none, so that a small answer cannot become a huge one
    (BUG-30); the status of the answer counts all the same.
    """
    names = {it.strip().lower() for coding in codings for it in coding.split(",")} - {
        "",
        "identity",
    }
    if not names:
        return ""
    shown = ", ".join(sorted(names))
    what = repr(shown) if _CODINGS.fullmatch(shown) else "of no known name"
    return f"the answer has the content coding {what}, which the relay did not ask for"


def is_temporary(status: int) -> bool:
    """Whether a refusal with this status may be none in another attempt (RTY-04)."""
    return status in _TRY_AGAIN


def proxy_without_early_answers(server: str | None) -> str | None:
    """The proxy that a `Server` header names, if it spoils an upload whose answer begins early.

    A peer that is asked for events answers as soon as the file begins (SSE-02). nginx then passes
    no more of the upload on. Caddy, like any server of Go's net/http without full duplex, drops up
    to 256 KiB from the middle of the upload and passes the rest on.
    """
    found = _NO_EARLY_ANSWERS.match(server or "")
    return found and found[0].lower()


def success_members(answer: Answer) -> dict[str, object]:
    """The members of a success record that come from the answer.

    Raises:
        PeerError: The answer is not a success, or too long.
    """
    if answer.status not in SUCCESS:
        raise PeerError(
            "answer",
            failure_reason(answer),
            status_code=answer.status,
            retryable=is_temporary(answer.status),
            retry_after=answer.retry_after,
            hint=answer.hint,
            members=_members_of(parse_json(answer.text)),
        )
    if answer.cut:
        reason = f"HTTP {answer.status}, but the answer is longer than {len(answer.body)} bytes"
        raise PeerError("answer", reason, uncertain=True)
    return _members(parse_json(answer.text), _page(answer) or answer.text)


def failure_reason(answer: Answer) -> str:
    """The peer's own text in a refusal, or `HTTP <code>` (RES-06…09, BUG-02)."""
    if page := _page(answer):
        return page
    text = answer.text
    if text.startswith(("data:", "event:", ":")):  # framed as an event
        events = EventParser().feed(answer.body + b"\n\n")
        text = next((data for _, data in events if data), text)
    reason = _reason(parse_json(text), answer.hide(text))
    return reason if reason.strip() else f"HTTP {answer.status}"


def _page(answer: Answer) -> str:
    """The status and the title of an HTML page, which is the text of a proxy; else nothing."""
    text = answer.text
    if not _PAGE.match(text):
        return ""
    title = _TITLE.search(answer.hide(text)[:_HEAD_OF_A_PAGE])
    words = _first_units(" ".join(unescape(title[1]).split())) if title else ""
    return f"HTTP {answer.status}: {words or 'an HTML page without a title'}"


class StreamedAnswer:
    """An answer in events: `done` is a success, `error` a failure (SSE-09).

    A stream with both is a failure (SSE-11), and so is a stream with neither (SSE-16, BUG-36).
    """

    def __init__(
        self, longest: int, hide: Hide = str, progress: Collection[str] = PROGRESS
    ) -> None:
        """`longest`: size limit of one event in bytes (BUG-30); `hide`: see `Answer`.

        `progress` has the names of the events that `feed` yields.
        """
        self._progress = progress
        self._parser = EventParser()
        self._longest = longest
        self._hide = hide
        self._result: dict[str, object] | None = None
        self._size = 0  # bytes
        self.events = 0

    @property
    def is_done(self) -> bool:
        return self._result is not None

    def feed(self, block: bytes) -> Iterator[tuple[str, dict[str, object]]]:
        """Read some bytes; yield the events of progress in them.

        Raises:
            PeerError: The deploy failed, for the reason that the peer gives, or the stream goes
                beyond a limit.
        """
        self._size += len(block)
        for name, text in self._parser.feed(block):
            self.events += 1
            if progress := self._take(name, text):
                yield progress
        self._check_limits()

    def _check_limits(self) -> None:
        """No stream is endless (AGG-04), and no event is too long."""
        longest = self._longest + _LONGEST_STREAM
        if self._parser.pending > self._longest:
            reason = f"an event is longer than {self._longest} bytes"
        elif self._parser.skipped > _MOST_COMMENTS:
            reason = f"the event stream has {_MOST_COMMENTS} bytes without an event"
        elif self._size > longest:
            reason = f"the event stream is longer than {longest} bytes"
        elif self.events > _MOST_EVENTS:
            reason = f"the event stream has more than {_MOST_EVENTS} events"
        else:
            return
        raise PeerError("answer", reason, uncertain=True)

    def end(self) -> dict[str, object]:
        """The members of a success record, after the end of the stream.

        Raises:
            PeerError: There was no success.
        """
        for name, text in self._parser.end():
            self._take(name, text)
        if self._result is None:
            reason = "the event stream ended without a result"
            raise PeerError("answer", reason, uncertain=True)
        return self._result

    def _take(self, name: str, text: str) -> tuple[str, dict[str, object]] | None:
        value = parse_json(text)
        members = _members_of(value)
        if name == "error" or (name == "message" and "error" in members):
            self._result = None
            code = members.get("code")  # an HTTP status, or a word such as ERR_INVALID_ARG_TYPE
            status = code if type(code) is int and code in _HTTP_CODES else None
            reason = _reason(value, self._hide(text))
            if not reason.strip():
                reason = "the peer reported an error without a text"
            raise PeerError("answer", reason, status_code=status, in_stream=True, members=members)
        if name == "done":
            self._result = _members(members.get("result", value), text)
        return (name, members) if name in self._progress and members else None


def parse_json(text: str) -> Any:
    """The JSON value of a text, or `_UNPARSABLE`, also if it is nested too deeply to print."""
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        if _SURROGATE.search(text):
            value = json.loads(_whole_characters(json.dumps(value, ensure_ascii=False)))
        return value if _depth(value) <= _MAX_DEPTH else _UNPARSABLE
    except (ValueError, RecursionError):
        return _UNPARSABLE


def _whole_characters(text: str) -> str:
    """Half of a pair of surrogates, which no encoding can write, becomes U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _members_of(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _members(value: object, text: str) -> dict[str, object]:
    if value is _UNPARSABLE:
        return {"message": text}  # RES-03
    if isinstance(value, dict):
        return value  # RES-14: also with an `error` member
    return {"result": value}  # RES-04 with its bug fixed


def _reason(value: object, text: str) -> str:
    """RES-06: the value of `error`, else of `message`, else the text, shortened; maybe empty."""
    found: object = None
    if isinstance(value, dict):
        found = value.get("error")
        if found is None:
            found = value.get("message")
    return _first_units(text) if found is None else readable(found)


def readable(value: object) -> str:
    """A value for people: a text, the message of an object, or its JSON (RES-08)."""
    if isinstance(value, dict) and isinstance(value.get("message"), str):
        value = value["message"]
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=repr)
    except (ValueError, TypeError, RecursionError):  # of msgpack, which has more than JSON
        return "a value that is not JSON"


def _first_units(text: str) -> str:
    """The first 200 UTF-16 units, without half a character at the end (RES-07)."""
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * RAW_REASON_UNITS]
    return units.decode("utf-16-le", "ignore")


def _finite(text: str) -> float:
    if math.isfinite(value := float(text)):
        return value
    raise ValueError(f"JSON has no number {text}")
