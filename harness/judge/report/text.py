"""The summary that a person reads in a terminal. Pure."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.judge.catalogue import requirements
from harness.judge.results import Result
from harness.judge.shipped_paths import conformance_cases
from harness.judge.verdicts import APART, OUTCOMES, Case, Verdict

_RED = ("untestable", "failed", "harness error")
_SLOW = 5.0  # seconds, several times what any case takes that nothing delays
_SHOWN = 5
_ALIKE = 20


def lines(result: Result) -> Iterator[str]:
    """A line per requirement, what failed and why, and the count."""
    identity = "" if result.identity == result.relay else f": {result.identity}"
    yield f"judging {result.relay}{identity}\n"
    if result.expression:
        yield f"only {result.expression}; what else its cases check is checked in part\n"
    for id_, cases in result.by_requirement.items():
        outcome = result.outcomes[id_]
        yield f"{outcome:14} {id_:8} {requirements()[id_].sentence}  ({_counted(cases)})"
    for alike in _by_cause(result.red):
        yield from _explain(alike, result.relay)
    if result.red:
        yield f"\nthe cases are in {conformance_cases()}"
    for text in result.broken:
        yield f"\nharness error: the cases could not run\n{text}"
    yield from _to_note(result)
    for outcome in _RED:
        if ids := [id_ for id_, its in result.outcomes.items() if its == outcome]:
            yield textwrap.fill(f"{outcome}: {' '.join(ids)}", 100, initial_indent="\n")
    yield f"\n{summary(result)}"


def _to_note(result: Result) -> Iterator[str]:
    """What is no failure of a case, and should be known all the same."""
    if slow := [case for case in result.cases if case.seconds > _SLOW]:
        slow.sort(key=lambda case: -case.seconds)
        told = ", ".join(f"{case.name} {case.seconds:.0f} s" for case in slow[:_SHOWN])
        yield f"\nslowest of {count(len(slow), 'slow case')}: {told}"
    if result.stale:
        yield "\nstale in the baseline:"
        yield from (f"  {text}" for text in result.stale)
    if undeclared := _undeclared(result):
        yield "\nnot judged, for what the relay does not declare:"
        for capability, ids in undeclared.items():
            told = f"{capability}: {' '.join(ids)}"
            yield textwrap.fill(told, 100, initial_indent="  ", subsequent_indent="    ")


def _undeclared(result: Result) -> dict[str, list[str]]:
    """The requirements that do not apply, by the capabilities without which they do not."""
    found: dict[str, list[str]] = {}
    for id_, outcome in result.outcomes.items():
        capabilities = requirements()[id_].capabilities
        if outcome == Verdict.NOT_APPLICABLE.value and capabilities:
            found.setdefault(" or ".join(capabilities), []).append(id_)
    return found


def _counted(cases: Sequence[Case]) -> str:
    """How many cases a requirement has, and how many of them are not as the others."""
    failed = sum(case.has_failed for case in cases)
    skipped = sum(case.verdict is Verdict.NOT_APPLICABLE for case in cases)
    told = count(len(cases), "case")
    if 0 < failed < len(cases):
        told = f"{failed} of {told} failed"
    return f"{told}, {skipped} not applicable" if 0 < skipped < len(cases) else told


def _by_cause(red: Sequence[Case]) -> Iterator[list[Case]]:
    """Failures, those together in which the target broke, or leaked, in the very same way."""
    causes: dict[object, list[Case]] = {}
    for case in red:
        causes.setdefault(_cause(case), []).append(case)
    yield from causes.values()


def _cause(case: Case) -> object:
    seen = case.evidence
    if seen is None:
        return case.verdict, case.text
    if case.id.endswith(APART):
        return case.verdict, seen["came"]
    return (case.verdict, seen["came"], *seen["reported"]) if seen["broke"] else case.id


def summary(result: Result) -> str:
    """How many requirements came out how, in one line."""
    tally = Counter(result.outcomes.values())
    counts = ", ".join(f"{tally[outcome]} {outcome}" for outcome in OUTCOMES if tally[outcome])
    checked = count(len(result.cases), "case")
    stale = f", {len(result.stale)} stale in the baseline" if result.stale else ""
    nothing = "" if result.ran else "; nothing was judged: no case applies to this relay"
    return f"{count(tally.total(), 'requirement')}: {counts or 'none'} ({checked}){stale}{nothing}"


def alone(case: Case, relay: str) -> str:
    """The command that runs this case alone."""
    case_id = shlex.quote(f"{case.file}::{case.name}")
    return f"relay-harness run --relay {shlex.quote(relay)} --case {case_id}"


def explained(case: Case) -> Iterator[str]:
    """What is known of a failure, line by line: what was asked, what came, what was seen."""
    for id_ in case.requirements:
        yield f"  {id_} ({requirements()[id_].level}): {requirements()[id_].sentence}"
    evidence = case.evidence
    if evidence is not None:
        yield f"  {evidence['where']}"
        parts = {
            "expected": evidence["expected"],
            "came": evidence["came"],
            "the relay was told": "\n".join(_by_deploy(evidence["told"])),
            "the relay reported": "\n".join(_by_deploy(evidence["reported"])),
            "it wrote": evidence["wrote"],
            "the peers saw": evidence["seen"],
            "traceback": evidence["trace"],
        }
        for title, told in parts.items():
            if told:
                yield from (f"  {title}:", textwrap.indent(told.rstrip(), "    "))
    if case.text:
        yield case.text


def _by_deploy(texts: list[str]) -> Iterator[str]:
    for number, text in enumerate(texts, 1):
        yield f"deploy {number}: {text}" if len(texts) > 1 else text


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural where there is not one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _explain(alike: Sequence[Case], relay: str) -> Iterator[str]:
    case, *others = alike
    yield f"\n{case.verdict.value}: {case.name}"
    yield from explained(case)
    yield f"  this case alone:\n    {alone(case, relay)}"
    if others:
        yield f"  the same came in {count(len(others), 'other case')}:"
        yield from (f"    {it.name}  ({', '.join(it.requirements)})" for it in others[:_ALIKE])
        if len(others) > _ALIKE:
            yield f"    … and {len(others) - _ALIKE} more; a report (--report) has them all"
