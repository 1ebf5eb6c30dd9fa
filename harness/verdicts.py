"""From test reports to a verdict per case and per requirement."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from harness.catalogue import requirements
from harness.plugin import WHAT_THE_PEERS_SAW

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Verdict(Enum):
    """What is said of a case, and of a requirement; the worst of a requirement's cases counts.

    In ascending order of how much they weigh.
    """

    NOT_APPLICABLE = "not applicable"
    PASSED = "passed"
    UNTESTABLE = "untestable"
    FAILED = "failed"
    HARNESS_ERROR = "harness error"


_WEIGHT = {verdict: weight for weight, verdict in enumerate(Verdict)}
_GOOD = {Verdict.PASSED, Verdict.NOT_APPLICABLE}


@dataclass(slots=True)
class Case:
    """One case that ran: its pytest node id, what it checks, how it ended and what it said."""

    id: str
    requirements: list[str]
    verdict: Verdict = Verdict.PASSED
    text: str = ""


@dataclass(eq=False)  # pytest keeps its plugins in sets
class Verdicts:
    """A pytest plugin that gathers the verdicts of one run."""

    relay: str = "reference"
    """The target, as `--relay` names it."""
    cases: dict[str, Case] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """What kept cases from running at all: collection and internal errors."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ids = [str(value) for name, value in report.user_properties if name == "requirement"]
        case = self.cases.setdefault(report.nodeid, Case(report.nodeid, ids))
        if report.failed:
            case.verdict = max(case.verdict, _verdict(report), key=_WEIGHT.__getitem__)
            seen = [text for title, text in report.sections if title == WHAT_THE_PEERS_SAW]
            case.text = "\n\n".join(filter(None, [case.text, report.longreprtext, *seen]))
        elif report.skipped:
            case.verdict = Verdict.NOT_APPLICABLE
            case.text = report.longreprtext

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken.append(str(excrepr))

    @property
    def by_requirement(self) -> dict[str, list[Case]]:
        """The cases of each requirement that has any, in the order of the catalogue."""
        cases = defaultdict(list)
        for case in self.cases.values():
            for id_ in case.requirements:
                cases[id_].append(case)
        order = list(requirements())
        return dict(sorted(cases.items(), key=lambda item: order.index(item[0])))

    @property
    def all_passed(self) -> bool:
        """Whether something ran, nothing broke, and no case failed."""
        verdicts = {case.verdict for case in self.cases.values()}
        return Verdict.PASSED in verdicts and verdicts <= _GOOD and not self.broken

    def lines(self) -> Iterator[str]:
        """The summary: a line per requirement, what failed and why, and the count."""
        tally: Counter[Verdict] = Counter()
        for id_, cases in self.by_requirement.items():
            verdict = max((case.verdict for case in cases), key=_WEIGHT.__getitem__)
            tally[verdict] += 1
            sentence = requirements()[id_].sentence
            yield f"{verdict.value:14} {id_:8} {sentence}  ({_count(len(cases), 'case')})"
        for case in self.cases.values():
            if case.verdict not in _GOOD:
                yield from self._explain(case)
        for text in self.broken:
            yield f"\nharness error: the cases could not run\n{text}"
        counts = ", ".join(
            f"{tally[verdict]} {verdict.value}" for verdict in Verdict if tally[verdict]
        )
        checked = _count(len(self.cases), "case")
        yield f"\n{_count(sum(tally.values()), 'requirement')}: {counts or 'none'} ({checked})"

    def _explain(self, case: Case) -> Iterator[str]:
        yield f"\n{case.verdict.value}: {case.id}"
        for id_ in case.requirements:
            yield f"  {id_} ({requirements()[id_].level}): {requirements()[id_].sentence}"
        yield case.text
        name = case.id.rpartition("::")[2].partition("[")[0]
        target = shlex.quote(self.relay)
        yield f"\nthis case alone: relay-harness run --relay {target} -n 0 -k {name}"


def _verdict(report: pytest.TestReport) -> Verdict:
    """The verdict of a failed report: what the target's error says, or else whose turn it was."""
    for name, value in report.user_properties:
        if name == "verdict":
            return Verdict(value)
    # The target speaks only while a case is called; set-up and tear-down are ours.
    return Verdict.FAILED if report.when == "call" else Verdict.HARNESS_ERROR


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
