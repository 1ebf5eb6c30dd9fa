"""Pure: how long and how much the relay bears. There is no limit on a whole upload (HTTP-03)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from relay.errors import InputError

_WHOLE = {"answer_bytes", "concurrency"}


@dataclass(frozen=True)
class Limits:
    """Limits of one attempt; times in seconds, sizes in bytes.

    Args:
        connect: Name lookup, TCP connection and TLS handshake together. Default 10.
        mint: From asking for a token to having it. Default 30.
        stall: How long a peer may take no data of an upload. Default 60.
        answer: From the last byte of an upload to the end of the answer, and from one sign of life
            to the next in an event stream; a peer installs dependencies in that time, for up to an
            hour by default (DEP-07). Default 3,720.
        answer_bytes: How much of an answer, or of one event, is read (BUG-30). Default 1,048,576.
        restart: From asking a node to restart until it has. Default 600 (RST-02).
        concurrency: How many nodes are served at the same time; None serves all (SEQ-03).
    """

    connect: float = 10.0
    mint: float = 30.0
    stall: float = 60.0
    answer: float = 3_720.0
    answer_bytes: int = 1_048_576
    restart: float = 600.0
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            kinds, what = ({int}, "whole number") if name in _WHOLE else ({int, float}, "number")
            is_all = name == "concurrency" and value is None
            if not (is_all or (type(value) in kinds and 0 < value < math.inf)):
                raise InputError(f"limit {name!r} is {value!r}; give a {what} above 0")
