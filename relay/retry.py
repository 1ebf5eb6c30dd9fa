"""Pure: which failures are worth another attempt, and when (RTY-01…04)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from relay.errors import AttemptError, InputError

_UNAUTHORIZED = 401
_MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class Retry:
    """How often, and when, one peer is tried again; each attempt mints and reads anew (RTY-03).

    Only failures that happened before any byte of an answer, or an answer 502, 503 or 504, are
    worth it (RTY-04); sending again is safe because a deploy replaces the whole component. A token
    that had expired by the time it was judged is replaced once, at once (MINT-13).

    Args:
        attempts: Attempts in all; 1 turns retrying off.
        first_delay: Longest wait before the second attempt, in seconds; it doubles from attempt to
            attempt. The wait is a random part of it, at least half.
        longest_delay: Longest wait, in seconds, also when a peer asks for more (`Retry-After`).
    """

    attempts: int = 3
    first_delay: float = 1.0
    longest_delay: float = 60.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InputError(f"attempts is {self.attempts!r}; give a whole number from 1")
        if not all(_is_time(delay) for delay in (self.first_delay, self.longest_delay)):
            raise InputError("the delays of a retry are seconds, from 0")

    def delay(self, failures: Sequence[AttemptError], random: Callable[[], float]) -> float | None:
        """Seconds to wait after the failures so far; None when that was the last attempt.

        Args:
            failures: Every attempt's, the latest last.
            random: Gives numbers from 0 to 1.
        """
        latest = failures[-1]
        if len(failures) >= self.attempts:
            return None
        if _token_expired(latest):
            return 0.0 if sum(map(_token_expired, failures)) == 1 else None
        if not latest.retryable:
            return None
        if latest.retry_after is not None:
            return min(latest.retry_after, self.longest_delay)
        doubled = self.first_delay * 2.0 ** min(len(failures) - 1, _MOST_DOUBLINGS)
        return min(doubled, self.longest_delay) * (1 + random()) / 2


def _is_time(seconds: object) -> bool:
    return type(seconds) in {int, float} and 0 <= seconds < math.inf  # type: ignore[operator]


def _token_expired(failure: AttemptError) -> bool:
    return failure.status_code == _UNAUTHORIZED and failure.reason == "token expired"


def seconds_until(retry_after: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header, in either of its forms; None when it says nothing of use.

    Args:
        retry_after: Seconds or an HTTP date (RFC 9110, 10.2.3).
        now: The time at which it came, with a time zone.
    """
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, no time zone, an absurd one
        return None
