"""Gathers the cases of a run from the reports of pytest, also from the workers of xdist."""

from collections.abc import Generator

import msgspec
import pytest

from deploy_relay_kit.harness.judge.explain import requirements_of
from deploy_relay_kit.harness.judge.model import Case, Check, Verdict

ATTRIBUTE = "deploy_relay_case"
"""The attribute of a report that carries the case, as JSON values."""
NOT_RUN = "not run"
"""The error of a case of which nothing is known."""


class Collector:
    """A pytest plugin that gathers the cases of one run.

    Attributes:
        cases: by their ids.
        broken: what kept cases from running: collection and internal errors.
        interrupted: the arguments of `KeyboardInterrupt`, such as the number of a signal.
        collected: the ids of all cases that are to run.
    """

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.broken: list[str] = []
        self.interrupted: tuple[object, ...] = ()
        self.collected: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except pytest.UsageError:  # pytest would print it in its own words
            return pytest.ExitCode.USAGE_ERROR

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.collected = [item.nodeid for item in session.items]

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self.collected = ids

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case = self.cases.setdefault(report.nodeid, Case(report.nodeid))
        if found := vars(report).get(ATTRIBUTE):
            judged = msgspec.convert(found, Case)
            if judged.verdict.weight >= case.verdict.weight:
                judged.seconds, case = case.seconds, judged
                self.cases[report.nodeid] = case
        elif str(report.when) == "???":  # xdist's report of a worker that died
            ended = "the relay ended the process in which it ran"
            case.checks = [
                Check("AGG-02", Verdict.FAILED, "the deploy", "records", f"none: {ended}")
            ]
            rest = [id_ for id_ in requirements_of(report.nodeid) if id_ != "AGG-02"]
            case.checks += [Check(id_, Verdict.UNTESTABLE, blocked_by=ended) for id_ in rest]
        case.seconds += report.duration

    def finish(self) -> None:
        """Make every case that did not run untestable."""
        for id_ in self.collected:
            if id_ not in self.cases:
                reason = "it did not run: the run had ended before"
                checks = [
                    Check(it, Verdict.UNTESTABLE, blocked_by=reason) for it in requirements_of(id_)
                ]
                self.cases[id_] = Case(id_, checks=checks, error=NOT_RUN)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.longreprtext)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.interrupted = excinfo.value.args

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken.append(str(excrepr))
