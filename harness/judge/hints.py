"""Likely mistakes behind a failed check, each with its remedy; read from `hints.toml`."""

import re
import tomllib
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from deploy_relay_kit.harness.judge.model import Check, Verdict
from deploy_relay_kit.harness.witness.wire.finding import Rule


class Hint(Struct, frozen=True, forbid_unknown_fields=True):
    """A mistake that many senders make. Every condition that is given must hold.

    Attributes:
        requirement: the requirement that it breaks, or several.
        text: the mistake and its remedy.
        rules: the broken rule of the wire format is one of these; empty: no rule was broken.
        cases: the function of the case is one of these; empty: any case.
        subject: a pattern in what was looked at.
        expected: a pattern in what was expected.
        got: a pattern in what was seen.
        reason: a pattern in the relay's own reason, where a success was expected.
    """

    requirement: str | tuple[str, ...]
    text: str
    rules: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    subject: str = ""
    expected: str = ""
    got: str = ""
    reason: str = ""

    @property
    def requirements(self) -> tuple[str, ...]:
        return (self.requirement,) if isinstance(self.requirement, str) else self.requirement

    def fits(self, check: Check, case: str) -> bool:
        """Whether a failed check of a case function looks like this mistake."""
        return (
            check.requirement in self.requirements
            and check.rule in (self.rules or ("",))
            and case in (self.cases or (case,))
            and all(
                re.search(pattern, text, re.DOTALL) is not None
                for pattern, text in (
                    (self.subject, check.subject),
                    (self.expected, check.expected),
                    (self.got, check.got),
                    (self.reason, check.reason),
                )
            )
        )


@cache
def hints() -> dict[str, Hint]:
    """Every hint by the name of its mistake; of two that fit, the first is shown."""
    text = Path(__file__).with_name("hints.toml").read_text(encoding="utf-8")
    found = msgspec.convert(tomllib.loads(text), dict[str, Hint])
    for name, hint in found.items():
        if unknown := set(hint.rules) - set(Rule.__members__):
            raise ValueError(f"hint {name}: no such rule: {min(unknown)}")
    return found


def hint_for(check: Check, case: str) -> str:
    """The text of the first hint that fits a failed check; empty when none does.

    Args:
        check: a look of the case.
        case: the name of its function.
    """
    if check.verdict is not Verdict.FAILED:
        return ""
    return next((hint.text for hint in hints().values() if hint.fits(check, case)), "")
