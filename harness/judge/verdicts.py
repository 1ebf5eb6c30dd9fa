"""From pytest reports to a verdict per case."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import Enum

import pytest

from harness.judge.evidence import Evidence
from harness.judge.explain import cases_by_requirement
from harness.plugin import evidence_of


class Verdict(Enum):
    """What is said of a case."""

    NOT_APPLICABLE = "not applicable"
    PASSED = "passed"
    UNTESTABLE = "untestable"
    FAILED = "failed"
    HARNESS_ERROR = "harness error"


APART = " (what it left behind)"
"""Behind the id of a case, in the id of the case that what was found after it makes."""
LEAKS = "BUG-41"
"""The requirement that what is found after a case fails."""
_LEAKED = {"leaked", "also leaked"}  # nothing else was wrong, or something was
NOT_RUN = "  it did not run: the run had ended before its turn"
"""The text of a case of which nothing is known."""

OUTCOMES = (
    "not applicable",
    "passed",
    "known flaky",
    "known failure",
    "untestable",
    "failed",
    "harness error",
)
"""Every verdict, and what a known failure is instead, in ascending order of how much it weighs."""


def weight(verdict: Verdict) -> int:
    return OUTCOMES.index(verdict.value)


@dataclass(slots=True)
class Case:
    """One case that ran.

    Attributes:
        id: pytest's node id; with `APART` behind it, of what was found after that case.
        requirements: ids of what it checks.
        verdict: how it ended.
        seconds: how long it took, with set-up and tear-down.
        text: why it is not applicable, or what went wrong outside of the case itself.
        evidence: of a failed case, what is known of the failure.
        known: the reason in the baseline, when its failure is known.
        flaky: the reason in the baseline, when it is known to fail now and then.

    """

    id: str
    requirements: list[str]
    verdict: Verdict = Verdict.PASSED
    seconds: float = 0.0
    text: str = ""
    evidence: Evidence | None = None
    known: str | None = None
    flaky: str | None = None

    @property
    def file(self) -> str:
        """The name of the file that it stands in."""
        return self.id.partition("::")[0].rpartition("/")[2]

    @property
    def name(self) -> str:
        """The name of its test function, with its parameters."""
        return self.id.partition("::")[2].removesuffix(APART)

    @property
    def function(self) -> str:
        """The name of its test function, without parameters."""
        return self.name.partition("[")[0]

    @property
    def findings(self) -> list[str]:
        """Ids of the rules that the uploads of a failed case broke on the wire."""
        return self.evidence["findings"] if self.evidence else []

    @property
    def has_failed(self) -> bool:
        """Whether it did not do what is asked, known or not."""
        return self.verdict not in {Verdict.NOT_APPLICABLE, Verdict.PASSED}

    @property
    def is_red(self) -> bool:
        """Whether it failed and no baseline says that it would."""
        return self.has_failed and self.known is None and self.flaky is None

    @property
    def outcome(self) -> str:
        """The verdict in words, or that the failure is known."""
        if not self.has_failed or self.is_red:
            return self.verdict.value
        return "known failure" if self.flaky is None else "known flaky"


class Verdicts:
    """A pytest plugin that gathers the verdicts of one run, also from the workers of xdist.

    Attributes:
        cases: by their ids.
        broken: what kept cases from running at all: collection and internal errors.
        interrupted: what `KeyboardInterrupt` came with, such as the number of a signal.

    """

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.broken: list[str] = []
        self.interrupted: tuple[object, ...] = ()
        self._collected: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collected = [item.nodeid for item in session.items]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._collected = ids

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ids = [str(value) for name, value in report.user_properties if name == "requirement"]
        case = self.cases.setdefault(report.nodeid, Case(report.nodeid, []))
        case.requirements += [id_ for id_ in ids if id_ not in case.requirements]
        if not case.requirements:  # the report of a worker that died while the case ran
            case.requirements = requirements_of(case)
        case.seconds += report.duration
        leaked = {name: str(value) for name, value in report.user_properties if name in _LEAKED}
        if LEAKS in case.requirements:  # then it is the failure of the case itself
            leaked = {}
        if report.when == "call" and leaked:
            self._add_left_behind(report, *leaked.values())
        if report.failed and "leaked" not in leaked:
            case.verdict = max(case.verdict, _verdict(report), key=weight)
            if evidence := evidence_of(report):
                case.evidence = evidence
            elif str(report.when) == "???":  # xdist's, of a worker that is gone
                case.text = "  the relay ended the process in which it ran"
            else:
                case.text = "\n\n".join(filter(None, [case.text, report.longreprtext]))
        elif report.skipped:
            case.verdict = Verdict.NOT_APPLICABLE
            reason = report.longrepr[2] if isinstance(report.longrepr, (tuple, list)) else ""
            case.text = reason.removeprefix("Skipped: ").removeprefix("not applicable: ")

    def _add_left_behind(self, report: pytest.TestReport, where: str) -> None:
        """A case of its own for credentials that were found after another one."""
        found = Case(f"{report.nodeid}{APART}", [LEAKS], Verdict.FAILED)
        if evidence := evidence_of(report):
            found.evidence = {**evidence, "expected": "", "came": where, "trace": ""}
        else:
            found.text = textwrap.indent(where, "  ")
        self.cases[found.id] = found

    def finish(self) -> None:
        """Say of every case that was to run and did not that it is untestable."""
        for id_ in self._collected:
            if id_ not in self.cases:
                case = Case(id_, [], Verdict.UNTESTABLE, text=NOT_RUN)
                case.requirements = requirements_of(case)
                self.cases[id_] = case

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.longreprtext)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = excinfo.value.args

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken.append(str(excrepr))


def _verdict(report: pytest.TestReport) -> Verdict:
    """The verdict of a failed report: what the target's error says, or else whose turn it was."""
    for name, value in report.user_properties:
        if name == "verdict":
            return Verdict(value)
    # The target speaks only while a case is called, and only then a worker dies of it.
    ours = report.when in {"setup", "teardown"}
    return Verdict.HARNESS_ERROR if ours else Verdict.FAILED


def requirements_of(case: Case) -> list[str]:
    """What a case checks, as its source says it."""
    place = f"{case.file}::{case.function}"
    return [id_ for id_, cases in cases_by_requirement().items() if place in cases]
