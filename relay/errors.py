"""What can go wrong, whose fault it is, at which stage of reaching one peer, and what follows.

`InputError` is raised to the caller before anything is sent. An `AttemptError` never reaches the
caller: it is raised inside one attempt and becomes that peer's record at the edge (SEQ-05…07,
AGG-02, AGG-04).
"""

from __future__ import annotations

import errno
from dataclasses import KW_ONLY, dataclass
from typing import Literal

Stage = Literal["resolve", "payload", "mint", "connect", "tls", "upload", "answer"]
"""How far an attempt came, in the order of the stages (SEQ-04, with SEQ-07 done right)."""

NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
NO_DESCRIPTOR = (
    "this machine has no file descriptor left; raise its limit (ulimit -n), "
    "or serve fewer nodes at once (concurrency)"
)
"""The reason when an `OSError` of the origin has one of the numbers in `NO_DESCRIPTORS`."""


class InputError(ValueError):
    """The caller asked for something that cannot be relayed; nothing was sent to anyone."""


@dataclass(eq=False)
class AttemptError(Exception):
    """One attempt to reach one peer ended without success.

    `uncertain`: the peer may have deployed all the same. `retryable`: another attempt is safe and
    may help (RTY-04), after `retry_after` seconds if the peer named them. `in_stream`: an event
    told it, whose `status_code` is no HTTP status.
    """

    stage: Stage
    reason: str
    _: KW_ONLY
    status_code: int | None = None
    uncertain: bool = False
    retryable: bool = False
    retry_after: float | None = None
    in_stream: bool = False

    def __str__(self) -> str:
        return self.reason


class OriginError(AttemptError):
    """The origin's fault: no usable URL, no readable payload, no descriptor left."""


class PeerError(AttemptError):
    """The fault of the peer or of the way to it."""


class RelayError(AttemptError):
    """The relay's own fault: a defect that costs one record and never the deploy."""
