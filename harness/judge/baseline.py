"""The baseline: failures that are known and accepted until a date. Pure.

A TOML file with two lists. A failure in `known` stays quiet while it fails; it turns red when it
passes, when it matches nothing, and when its date is past. A failure in `flaky` may pass or fail;
only its date turns it red.
"""

import datetime as dt
import json
import tomllib
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.catalogue import every_requirement
from deploy_relay_kit.harness.judge.model import Case, Check, Verdict

_DRAFT_DAYS = 180
_DRAFT_REASON = "not looked into yet"
_Text = Annotated[str, Meta(min_length=1)]
Looks = list[tuple[Case, Check]]


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One known failure.

    Attributes:
        requirement: id of what is not met.
        reason: why, for a person.
        until: last day on which it is accepted.
        case: only this test function, or this one set of its parameters (`name[parameters]`).
        finding: only this broken rule of the wire format.
    """

    requirement: str
    reason: _Text
    until: dt.date
    case: _Text | None = None
    finding: _Text | None = None

    def covers(self, case: Case, check: Check) -> bool:
        """Whether the entry is about this check, whatever its verdict."""
        of_case = self.case in {None, case.name, case.function}
        return self.requirement == check.requirement and of_case

    def excuses(self, case: Case, check: Check) -> bool:
        """Whether the failure of this check is the known one; what did not run is not known."""
        failed = check.verdict in {Verdict.FAILED, Verdict.UNTESTABLE} and not case.error
        return failed and self.covers(case, check) and self.finding in {None, check.rule}

    def __str__(self) -> str:
        narrowed = {"case": self.case, "finding": self.finding}
        words = [f"({name} {value})" for name, value in narrowed.items() if value]
        return " ".join([self.requirement, *words])


class Baseline(Struct, frozen=True, forbid_unknown_fields=True):
    """The document.

    Attributes:
        known: failures that are expected.
        flaky: failures that may happen.
    """

    known: tuple[Entry, ...] = ()
    flaky: tuple[Entry, ...] = ()

    def entries(self) -> Iterator[tuple[Entry, Verdict]]:
        """Every entry, with the verdict that it turns a failure into."""
        yield from ((entry, Verdict.KNOWN_FAILURE) for entry in self.known)
        yield from ((entry, Verdict.KNOWN_FLAKY) for entry in self.flaky)


def parse(text: str, source: str) -> Baseline:
    """Read a baseline.

    Args:
        text: TOML.
        source: how errors name it, such as its path.

    Raises:
        InputError: it is not TOML or not a baseline; the text says where.
    """
    try:
        baseline = msgspec.convert(tomllib.loads(text), Baseline)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        hint = "; docs/judging.md has an example"
        if "until" in str(error):
            hint = "; write a date such as 2027-01-31"
        elif "unknown field" in str(error):
            kind = Entry if " - at " in str(error) else Baseline
            hint = f"; known are {', '.join(kind.__struct_fields__)}"
        raise InputError(f"{source}: {str(error).replace('`$.', '`')}{hint}") from error
    for entry, _ in baseline.entries():
        if entry.requirement not in every_requirement():
            raise InputError(f"{source}: {entry.requirement!r} is not a requirement")
    return baseline


def apply(baseline: Baseline, looks: Looks, *, today: dt.date, whole: bool) -> list[str]:
    """Mark the checks whose failure is known; return what is stale, a sentence for each.

    Args:
        baseline: the known failures.
        looks: every check of the run, with its case.
        today: the day that dates are compared with.
        whole: whether every case ran; if not, an entry whose cases did not run is not stale.
    """
    stale = []
    excused = {
        entry: [look for look in looks if entry.excuses(*look)] for entry, _ in baseline.entries()
    }
    for entry, verdict in baseline.entries():
        if entry.until < today:
            stale.append(f"{entry}: accepted until {entry.until} only: {entry.reason}")
        elif not excused[entry] and (why := _unused(entry, verdict, looks, whole=whole)):
            stale.append(f"{entry}: {why}; remove it from the baseline")
        for _, check in excused[entry]:
            check.verdict, check.known = verdict, entry.reason
    return stale


def _unused(entry: Entry, verdict: Verdict, looks: Looks, *, whole: bool) -> str:
    verdicts = {check.verdict for case, check in looks if entry.covers(case, check)}
    if not whole and (not verdicts or entry.case is None):
        return ""  # its other cases may fail
    if not verdicts:
        return "matches no case"
    if verdict is Verdict.KNOWN_FLAKY:
        return ""
    if verdicts == {Verdict.NOT_APPLICABLE}:
        return "is not applicable to this relay"
    if any(it.has_failed for it in verdicts):
        return "fails in another way"
    return "passes"


def draft(baseline: Baseline, looks: Looks, *, today: dt.date, whole: bool) -> str:
    """A baseline in which every failure of this run is known; entries that still hold stay.

    An entry is for a whole requirement if every case ran and each of its checks failed, else for a
    function, else for one set of parameters: it excuses only failures that were seen. Arguments are
    those of `apply`.
    """
    used = {entry for entry, _ in baseline.entries() for look in looks if entry.covers(*look)}
    known = [entry for entry in baseline.known if entry in used]
    until = today + dt.timedelta(days=_DRAFT_DAYS)
    red = [(case, check) for case, check in looks if _is_drafted(case, check)]
    fine = [(case, check) for case, check in looks if not check.verdict.has_failed]
    passed = {check.requirement for _, check in fine if check.verdict is Verdict.PASSED}
    partly = {(check.requirement, case.function) for case, check in fine}
    for case, check in red:
        name = None
        if check.requirement in passed or not whole:
            both = (check.requirement, case.function)
            name = case.name if both in partly else case.function
        entry = Entry(check.requirement, _DRAFT_REASON, until, name)
        if entry not in known:
            known.append(entry)
    blocks = ["# Known failures: each entry says why, and until when it is accepted."]
    blocks += [_written("known", entry) for entry in known]
    blocks += [_written("flaky", entry) for entry in baseline.flaky]
    return "\n\n".join(blocks) + "\n"


def _is_drafted(case: Case, check: Check) -> bool:
    return check.verdict in {Verdict.FAILED, Verdict.UNTESTABLE} and not case.error


def _written(table: str, entry: Entry) -> str:
    lines = [f"[[{table}]]"]
    for name, value in msgspec.structs.asdict(entry).items():
        if value is not None:
            # A JSON string is a TOML string, too.
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value
            lines.append(f"{name} = {text}")
    return "\n".join(lines)
