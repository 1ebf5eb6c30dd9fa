"""Likely mistakes behind a failed check, each with its remedy. Pure."""

import re
from dataclasses import dataclass

from harness.judge.model import Check, Verdict


@dataclass(frozen=True, slots=True)
class Hint:
    """A mistake that many senders make.

    Attributes:
        requirement: the requirement that it breaks.
        text: the mistake and its remedy.
        got: a pattern in what was seen; empty fits anything.
        expected: a pattern in what was expected.
        rule: the broken rule of the wire format.
    """

    requirement: str
    text: str
    got: str = ""
    expected: str = ""
    rule: str = ""

    def fits(self, check: Check) -> bool:
        """Whether a failed check looks like this mistake."""
        return (
            check.requirement == self.requirement
            and self.rule in {"", check.rule}
            and re.search(self.got, check.got, re.IGNORECASE | re.DOTALL) is not None
            and re.search(self.expected, check.expected, re.IGNORECASE | re.DOTALL) is not None
        )


HINTS: tuple[Hint, ...] = ()


def hint_for(check: Check) -> str:
    """The first hint that fits a failed check; empty when none does."""
    if check.verdict is not Verdict.FAILED:
        return ""
    return next((hint.text for hint in HINTS if hint.fits(check)), "")
