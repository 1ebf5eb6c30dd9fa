"""Pure: which failures are worth another attempt, and when (RTY-01…04)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from deploy_relay_kit.relay.errors import AttemptError, InputError, is_number

_MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class Retry:
    """How often and when one node is tried again; each attempt mints and reads again (RTY-03).

    Only a failure before the first byte of an answer, or an answer 502, 503 or 504, is tried again
    (RTY-04). This is safe because a deploy replaces the whole component. A token that expired
    before the peer checked it is replaced once, without a wait (MINT-13).

    Args:
        attempts: Attempts in all; 1 turns retries off.
        first_delay: Longest wait before the second attempt, in seconds; it doubles with every
            attempt. The wait is random, at least half of it.
        longest_delay: Longest wait in seconds. A peer that asks for a longer one (`Retry-After`) is
            not tried again, because an earlier attempt would come too soon (KIT-04).
    """

    attempts: int = 3
    first_delay: float = 1.0
    longest_delay: float = 60.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InputError(f"attempts must be an integer of 1 or more, not {self.attempts!r}")
        for name in ("first_delay", "longest_delay"):
            if not is_number(seconds := getattr(self, name)):
                raise InputError(f"{name} must be a number of 0 or more, not {seconds!r}")

    def delay(self, failures: Sequence[AttemptError], random: Callable[[], float]) -> float | None:
        """Seconds until the next attempt; None if there is none.

        `failures` are those of all attempts so far; `random` returns numbers from 0 to 1.
        """
        latest = failures[-1]
        if len(failures) >= self.attempts:
            return None
        if _token_expired(latest):
            return 0.0 if sum(map(_token_expired, failures)) == 1 else None
        if not latest.retryable:
            return None
        if latest.retry_after is not None:
            return latest.retry_after if latest.retry_after <= self.longest_delay else None
        doubled = self.first_delay * 2.0 ** min(len(failures) - 1, _MOST_DOUBLINGS)
        return min(doubled, self.longest_delay) * (1 + random()) / 2


def _token_expired(failure: AttemptError) -> bool:
    expired = (HTTPStatus.UNAUTHORIZED, "token expired")  # MINT-12
    return (failure.status_code, failure.reason) == expired


def seconds_until(retry_after: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header: seconds or a date (RFC 9110, 10.2.3), or None if invalid.

    A date has one of three forms (RFC 9110, 5.6.7), and that of `asctime` names no time zone.
    """
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
        if "," not in retry_after and date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or out of range
        return None
