"""Faults of uploads, beside the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from attrs import field, frozen
from attrs.validators import optional

from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.checks import (
    check_choice,
    check_function,
    check_int,
    check_number,
    check_type,
)
from deploy_relay_kit.harness.faults.events import EventStream

Place = Literal["head", "file"]
Rest = Literal["drain", "stop", "close", "grace"]


@frozen
class ResetAfter:
    """Read exactly this many bytes of the raw body (with chunk framing), then reset."""

    received: int = field(validator=check_int(least=0))


@frozen
class StopReadingAfter:
    """Read exactly this many bytes of the raw body, then stop reading.

    Attributes:
        received: bytes, with chunk framing.
        until: None never reads again. The peer calls a function in the thread of the connection:
            when it returns, the peer continues like a healthy peer; when it raises TimeoutError,
            the peer resets the connection. Give it a limit.
    """

    received: int = field(validator=check_int(least=0))
    until: Callable[[], object] | None = field(default=None, validator=optional(check_function))


@frozen
class ReadSlowly:
    """Read the upload at this many bytes per second, then answer like a healthy peer."""

    bytes_per_second: int = field(validator=check_int(least=1))


@frozen
class CloseWithoutAnswer:
    """Read the whole upload, then close the connection with FIN instead of an answer."""


@frozen
class AnswerEarly:
    """Send the final answer before the end of the upload (EARLY-01 to EARLY-07).

    Attributes:
        answer: the answer.
        at: `head` before the body, `file` after the headers of the file part (where Harper
            decides), or after exactly this many bytes of the raw body.
        then: `drain` reads the rest and discards it; `stop` never reads again; `close` sends FIN
            at once, leaves the rest unread, and resets only after the client hangs up or after the
            peer's timeout; `grace` drains for `grace` seconds, then resets. A client that sends
            `Connection: close` gets `close` in every case.
        grace: seconds.
    """

    answer: AnyAnswer | EventStream = field(validator=check_type(AnyAnswer | EventStream))
    at: Place | int = field(default="file", validator=check_choice(Place) | check_int(least=0))
    then: Rest = field(default="drain", validator=check_choice(Rest))
    grace: float = field(default=1.0, validator=check_number())
