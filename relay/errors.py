"""What can go wrong, whose fault it is, and at which stage of reaching one peer.

`InputError` is raised to the caller before anything is sent. A `AttemptError` never reaches the
caller: it is raised inside one attempt and becomes that peer's record at the edge (SEQ-05…07,
AGG-02, AGG-04).
"""

from __future__ import annotations

from typing import Literal

Stage = Literal["resolve", "payload", "mint", "connect", "tls", "upload", "answer"]
"""How far an attempt came, in the order of the stages (SEQ-04, with SEQ-07 done right)."""


class InputError(ValueError):
    """The caller asked for something that cannot be relayed; nothing was sent to anyone."""


class AttemptError(Exception):
    """One attempt to reach one peer ended without success."""

    def __init__(
        self,
        stage: Stage,
        reason: str,
        *,
        status_code: int | None = None,
        uncertain: bool = False,
    ) -> None:
        """`uncertain` says that the whole body was sent, so the peer may have deployed it."""
        super().__init__(reason)
        self.stage: Stage = stage
        self.reason = reason
        self.status_code = status_code
        self.uncertain = uncertain


class OriginError(AttemptError):
    """The origin's fault: a node without a usable URL, a staged payload that cannot be read."""


class PeerError(AttemptError):
    """The fault of the peer or of the way to it."""


class RelayError(AttemptError):
    """The relay's own fault: a defect that costs one record and never the deploy."""
