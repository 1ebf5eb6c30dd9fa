"""The baseline: failures that are known and accepted for a while, and what became of them. Pure.

A baseline is a TOML file with two lists. An entry of `known` is a failure that is expected: it
stays quiet while it fails, and turns red when it passes, matches nothing or its date is past. An
entry of `flaky` may pass or fail; only its date makes it red.
"""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.judge.catalogue import requirements
from harness.judge.verdicts import NOT_RUN, Case, Verdict

_DRAFT_DAYS = 180
_DRAFT_REASON = "not looked into yet"
_MEMBERS = {"requirement": str, "case": str, "finding": str, "reason": str, "until": dt.date}
_NEEDED = ("requirement", "reason", "until")


@dataclass(frozen=True, slots=True)
class Entry:
    """One failure that somebody knows of.

    Attributes:
        requirement: id of what is not kept.
        reason: why, for a person.
        until: last day on which this is accepted.
        case: only this test function, or this one set of its parameters (`name[parameters]`).
        finding: only failures in which the wire check found this rule broken.
        flaky: whether it may pass as well.

    """

    requirement: str
    reason: str
    until: dt.date
    case: str | None = None
    finding: str | None = None
    flaky: bool = False

    def covers(self, case: Case) -> bool:
        """Whether this case is one that the entry speaks of, however it ended."""
        names = {None, case.name, case.function}
        return self.requirement in case.requirements and self.case in names

    def excuses(self, case: Case) -> bool:
        """Whether the failure of this case is the known one."""
        return (
            self.covers(case)
            and case.verdict in {Verdict.FAILED, Verdict.UNTESTABLE}
            and self.finding in {None, *case.findings}
        )

    def __str__(self) -> str:
        narrowed = [f"{name} {value}" for name, value in self._narrowing()]
        return " ".join([self.requirement, *(f"({text})" for text in narrowed)])

    def _narrowing(self) -> Iterator[tuple[str, str]]:
        for name in ("case", "finding"):
            if value := getattr(self, name):
                yield name, value


def parse(text: str, source: str) -> list[Entry]:
    """Read a baseline.

    Args:
        text: TOML.
        source: what the errors call it, such as its path.

    Raises:
        InputError: it is no TOML, has an unknown or missing member, or names no requirement.

    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: not TOML: {error}") from error
    if unknown := set(document) - {"known", "flaky"}:
        raise InputError(
            f"{source}: {min(unknown)!r} is no list of a baseline; use [[known]] and [[flaky]]"
        )
    entries = []
    for name in ("known", "flaky"):
        members = document.get(name, [])
        if not isinstance(members, list):
            raise InputError(f"{source}: write each entry of {name!r} under [[{name}]]")
        for number, entry in enumerate(members, 1):
            entries.append(_entry(entry, f"{source}: {name} entry {number}", flaky=name == "flaky"))
    return entries


def _entry(members: Any, where: str, *, flaky: bool) -> Entry:
    if not isinstance(members, dict):
        raise InputError(f"{where}: expected a table, came {members!r}")
    for name, value in members.items():
        kind = _MEMBERS.get(name)
        if kind is None:
            raise InputError(f"{where}: unknown member {name!r}; use {', '.join(_MEMBERS)}")
        # A TOML date with a time is a datetime, which is a date to isinstance.
        if type(value) is not kind or not value:
            example = "a date such as 2027-01-31" if kind is dt.date else "some text"
            raise InputError(f"{where}: {name} is {value!r}; give {example}")
    for name in _NEEDED:
        if name not in members:
            raise InputError(f"{where}: {name!r} is missing")
    if members["requirement"] not in requirements():
        raise InputError(f"{where}: {members['requirement']!r} is no requirement")
    return Entry(**members, flaky=flaky)


def apply(
    entries: Iterable[Entry], cases: Iterable[Case], *, today: dt.date, whole: bool
) -> list[str]:
    """Mark the cases whose failure is known; return what is stale, a sentence for each.

    Args:
        entries: the baseline.
        cases: those that ran; `known` and `flaky` of a failed one are set.
        today: the day on which dates are looked at.
        whole: whether every case ran; if not, an entry whose cases did not run is not stale.

    """
    cases = list(cases)
    stale = []
    for entry in entries:
        excused = [case for case in cases if entry.excuses(case)]
        for case in excused:
            if entry.flaky:
                case.flaky = entry.reason
            else:
                case.known = entry.reason
        if entry.until < today:
            stale.append(f"{entry}: was accepted until {entry.until} only: {entry.reason}")
        elif not excused and (why := _why_unused(entry, cases, whole=whole)):
            stale.append(f"{entry}: {why}; take it out of the baseline")
    return stale


def _why_unused(entry: Entry, cases: list[Case], *, whole: bool) -> str:
    covered = [case for case in cases if entry.covers(case)]
    if not covered:
        return "matches no case" if whole else ""
    if entry.flaky:
        return ""
    if all(case.verdict is Verdict.NOT_APPLICABLE for case in covered):
        return "is not applicable to this relay"
    if any(case.has_failed for case in covered):
        return "fails in another way than this"
    return "passes"


def draft(entries: Iterable[Entry], cases: Iterable[Case], *, today: dt.date) -> str:
    """A baseline in which every failure of this run is known; what still holds is taken over.

    An entry is drafted under the first requirement of a case: for the whole function where each of
    its cases that ran has failed, else for this one set of parameters, or the entry would excuse
    failures that nobody has seen.
    """
    cases = list(cases)
    kept = [entry for entry in entries if entry.flaky or any(map(entry.excuses, cases))]
    until = today + dt.timedelta(days=_DRAFT_DAYS)
    red = [
        case
        for case in cases
        if case.is_red and case.verdict is not Verdict.HARNESS_ERROR and case.text != NOT_RUN
    ]
    not_all = {
        case.function for case in cases if case.verdict is Verdict.PASSED or case.text == NOT_RUN
    }
    names = {
        (case.requirements[0], case.name if case.function in not_all else case.function): None
        for case in red
        if case.requirements
    }
    new = [Entry(requirement, _DRAFT_REASON, until, name) for requirement, name in names]
    blocks = ["# Failures that are known: each says why, and until when that is accepted."]
    blocks += [_written(entry) for entry in [*kept, *new]]
    return "\n\n".join(blocks) + "\n"


def _written(entry: Entry) -> str:
    lines = ["[[flaky]]" if entry.flaky else "[[known]]"]
    for name in _MEMBERS:
        value = getattr(entry, name)
        if value is not None:
            # A string of JSON is one of TOML too.
            written = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value
            lines.append(f"{name} = {written}")
    return "\n".join(lines)
