"""Pure: what a peer answered, as members of its record (RES-01…09, RES-13…15)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from relay.errors import PeerError

RAW_REASON_UNITS = 200  # UTF-16 units of a raw body that serve as a reason (RES-07)
_SUCCESS = range(200, 300)  # HTTP-05
_UNPARSABLE = object()


@dataclass(frozen=True)
class Answer:
    """One complete HTTP answer; `cut` when the rest of a long body was left unread (BUG-30)."""

    status: int
    body: bytes
    content_type: str = ""
    cut: bool = False

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_success(self) -> bool:
        return self.status in _SUCCESS


def success_members(answer: Answer) -> dict[str, object]:
    """What a success record takes over from the answer.

    Raises:
        PeerError: It is not a success, or too long to be read.
    """
    if not answer.is_success:
        raise PeerError("answer", failure_reason(answer), status_code=answer.status)
    if answer.cut:
        raise PeerError(
            "answer",
            f"HTTP {answer.status}, but the answer is longer than {len(answer.body)} bytes",
            uncertain=True,
        )
    value = parse_json(answer.text)
    if value is _UNPARSABLE:
        return {"message": answer.text}  # RES-03
    if isinstance(value, dict):
        return value  # RES-14: also with an `error` member
    return {"result": value}  # RES-04, done better


def failure_reason(answer: Answer) -> str:
    """The peer's own words for a refusal, or `HTTP <code>` (RES-06…09)."""
    value = parse_json(answer.text)
    told: object = None
    if isinstance(value, dict):
        told = value.get("error")
        if told is None:
            told = value.get("message")
    reason = _first_units(answer.text) if told is None else _readable(told)
    return reason or f"HTTP {answer.status}"


def parse_json(text: str) -> Any:
    """The JSON value of a text, or a value that is equal to nothing else."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _UNPARSABLE


def _readable(told: object) -> str:
    if isinstance(told, str):
        return told
    if isinstance(told, dict) and isinstance(told.get("message"), str):
        return str(told["message"])  # RES-08
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def _first_units(text: str) -> str:
    """The first 200 UTF-16 units, without half a character at the end (RES-07)."""
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * RAW_REASON_UNITS]
    return units.decode("utf-16-le", "ignore")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
