"""What can go wrong, whose fault it is, and at which stage of an attempt.

An `InputError` is raised to the caller before anything is sent. An `AttemptError` is raised inside
one attempt and becomes a record of its node (SEQ-05…07, AGG-02, AGG-04).
"""

import errno
import os
import sys
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, cast

Stage = Literal["resolve", "payload", "mint", "connect", "tls", "upload", "answer"]
"""How far an attempt got, in order (SEQ-04; SEQ-07 with its bug fixed)."""

_FEWER = "or serve fewer nodes at once (concurrency)"
_NO_DESCRIPTOR = f"no file descriptor left; raise its limit (ulimit -n), {_FEWER}"
_NO_MEMORY = f"no memory or no thread left for a connection; {_FEWER[3:]}"
EXHAUSTED = {
    errno.EMFILE: _NO_DESCRIPTOR,
    errno.ENFILE: _NO_DESCRIPTOR,
    errno.ENOBUFS: _NO_MEMORY,
    errno.ENOMEM: _NO_MEMORY,
    errno.EADDRNOTAVAIL: f"no port left to connect from; {_FEWER[3:]}",
}
"""What the machine has run out of, maybe for a moment only, by the number of the error."""


class InputError(ValueError):
    """The caller's input cannot be relayed; nothing was sent."""


def check_type(name: str, value: object, kind: Any, allowed: str) -> None:
    """Refuse a value of another type; the value is not shown, as it may be a secret.

    Raises:
        InputError: It is not; the text names the argument.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} must be {allowed}, not {type(value).__name__}")


def check_text(name: str, value: object) -> None:
    """Refuse anything but a text with characters.

    Raises:
        InputError: It is another; the text names the argument, and does not show the value.
    """
    check_type(name, value, str, "a text")
    if not value:
        raise InputError(f"{name} is empty")


def check_path(name: str, value: object) -> None:
    """Refuse anything but a path; an empty text would be the current directory.

    Raises:
        InputError: It is another; the text names the argument.
    """
    check_type(name, value, str | os.PathLike, "a path")
    if value == "":
        raise InputError(f"{name} is an empty path")


def is_number(value: object) -> bool:
    """Whether a value is a finite number of 0 or more; True and False are none."""
    return type(value) in {int, float} and 0 <= cast("float", value) <= sys.float_info.max


@dataclass(eq=False)
class AttemptError(Exception):
    """One attempt for one node failed.

    Args:
        stage: How far the attempt got.
        reason: Why it failed, for the record.
        status_code: HTTP status of the answer, or the code of an error event.
        uncertain: Whether the node may have deployed anyway.
        retryable: Whether another attempt is safe and may help (RTY-04).
        retry_after: Seconds that the peer asks to wait before it.
        hint: The usual cause and its remedy, for the record.
        members: Of the peer's refusal, if it is JSON, such as the `replicated` of an origin.
        in_stream: Whether an error event reported it; then `status_code` is not an HTTP status.
    """

    stage: Stage
    reason: str
    _: KW_ONLY
    status_code: int | None = None
    uncertain: bool = False
    retryable: bool = False
    retry_after: float | None = None
    hint: str | None = None
    in_stream: bool = False
    members: Mapping[str, object] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.reason


class OriginError(AttemptError):
    """The origin's fault: no usable URL, no readable payload, no file descriptor."""


class ExhaustedError(OriginError):
    """The machine has run out of something that other attempts give back; nothing was sent."""

    @classmethod
    def of(cls, stage: Stage, number: int) -> "ExhaustedError":
        return cls(stage, f"this machine has {EXHAUSTED[number]}")


class PeerError(AttemptError):
    """The fault of the peer or of the network."""


class SpoiledUploadError(PeerError):
    """A proxy in front of the peer spoils an upload whose answer began early."""


class RelayError(AttemptError):
    """The relay's own fault; it costs one record, not the deploy."""
