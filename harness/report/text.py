"""The summary that a person reads in a terminal. Pure."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from harness.catalogue import requirements
from harness.verdicts import OUTCOMES, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.results import Result
    from harness.verdicts import Case


_SLOW = 5.0  # seconds, several times what any case takes that nothing delays
_SHOWN = 5


def lines(result: Result) -> Iterator[str]:
    """A line per requirement, what failed and why, and the count."""
    yield f"judging {result.relay}: {result.identity}\n"
    cases = result.by_requirement
    for id_, outcome in result.outcomes.items():
        sentence = requirements()[id_].sentence
        skipped = sum(case.verdict is Verdict.NOT_APPLICABLE for case in cases[id_])
        some = f", {skipped} not applicable" if outcome != "not applicable" and skipped else ""
        yield f"{outcome:14} {id_:8} {sentence}  ({count(len(cases[id_]), 'case')}{some})"
    for case in result.red:
        yield from _explain(case, result.relay)
    for text in result.broken:
        yield f"\nharness error: the cases could not run\n{text}"
    if slow := [case for case in result.cases if case.seconds > _SLOW]:
        slow.sort(key=lambda case: -case.seconds)
        told = ", ".join(f"{case.name} {case.seconds:.0f} s" for case in slow[:_SHOWN])
        yield f"\nslowest of {count(len(slow), 'slow case')}: {told}"
    if result.stale:
        yield "\nstale in the baseline:"
        yield from (f"  {text}" for text in result.stale)
    yield f"\n{summary(result)}"


def summary(result: Result) -> str:
    """How many requirements came out how, in one line."""
    tally = Counter(result.outcomes.values())
    counts = ", ".join(f"{tally[outcome]} {outcome}" for outcome in OUTCOMES if tally[outcome])
    checked = count(len(result.cases), "case")
    stale = f", {len(result.stale)} stale in the baseline" if result.stale else ""
    return f"{count(tally.total(), 'requirement')}: {counts or 'none'} ({checked}){stale}"


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
            "the relay reported": "\n".join(_by_deploy(evidence["reported"])),
            "its standard error": evidence["stderr"],
            "the peers saw": evidence["seen"],
            "traceback": evidence["trace"],
        }
        for title, told in parts.items():
            if told:
                yield from (f"  {title}:", textwrap.indent(told.rstrip(), "    "))
    if case.text:
        yield case.text


def _by_deploy(reported: list[str]) -> Iterator[str]:
    for number, told in enumerate(reported, 1):
        yield f"deploy {number}: {told}" if len(reported) > 1 else told


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural where there is not one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _explain(case: Case, relay: str) -> Iterator[str]:
    yield f"\n{case.verdict.value}: {case.name}"
    yield from explained(case)
    yield f"  this case alone:\n    {alone(case, relay)}"
