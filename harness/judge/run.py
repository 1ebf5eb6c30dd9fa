"""Run the conformance cases with pytest and say what came out, from any directory."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression  # pytest has no public name for it

from harness.cli.output import say
from harness.cli.progress import counting
from harness.errors import InputError
from harness.judge import baseline as baselines
from harness.judge import report as reports
from harness.judge.baseline import Entry
from harness.judge.explain import cases_by_requirement, cases_of
from harness.judge.report import text
from harness.judge.results import Result
from harness.judge.shipped_paths import conformance_cases
from harness.judge.verdicts import Verdicts
from harness.targets.child import names_a_proxy

_MOST_CRASHES = 100
"""Processes that a relay in this very process may end before nobody starts another."""
_NOTHING_SELECTED = {
    pytest.ExitCode.NO_TESTS_COLLECTED,
    pytest.ExitCode.USAGE_ERROR,
    pytest.ExitCode.INTERNAL_ERROR,  # when workers, not we, see that there is no such case
}


@dataclass(frozen=True)
class Plan:
    """Which relay is judged, and by which cases.

    Attributes:
        relay: the target, as `--relay` takes it.
        identity: which relay the target says it is.
        workers: worker processes, a number or `auto`; `0` runs in this process.
        expression: pytest's `-k`; empty runs every case.
        cases: only these, each as `file::name`; none runs every case.
        asked: only the cases of these requirements, or of families of them, besides `cases`.

    """

    relay: str
    identity: str = ""
    workers: str = "auto"
    expression: str = ""
    cases: Sequence[str] = ()
    asked: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.workers != "auto" and not self.workers.isdecimal():
            raise InputError(f"-n {self.workers!r}: give a number of worker processes, or auto")

    @property
    def selection(self) -> str:
        """What was asked for, as options; empty when it is everything."""
        return " ".join(
            [
                *(f"--requirement {id_}" for id_ in self.asked),
                *(f"--case {case}" for case in self.cases),
                *([f"-k {self.expression}"] if self.expression else []),
            ]
        )


def run(
    plan: Plan,
    *,
    baseline: Path | None = None,
    write_baseline: Path | None = None,
    report: Path | None = None,
) -> int:
    """Judge a relay; print a line per requirement; return 0 when nothing is red, else 1.

    Args:
        plan: which relay, and which cases.
        baseline: a file of known failures.
        write_baseline: where to write a draft of one; never over another file.
        report: a directory for the reports.

    Raises:
        InputError: a file cannot be read or written, or is no baseline, or nothing is selected; the
            text names it. Nothing has run, unless what could be written before could not any more.

    """
    entries = _read(baseline) if baseline else []
    if write_baseline and write_baseline.exists():
        raise InputError(f"--write-baseline {write_baseline}: is there already; name a new one")
    # Whoever has waited for a run should not learn then that its result has nowhere to go.
    if write_baseline:
        with _about_to_write(write_baseline):
            tempfile.TemporaryFile(dir=write_baseline.parent).close()
    if report:
        with _about_to_write(report):
            report.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=report).close()
    today = dt.datetime.now(tz=dt.UTC)
    result = judge(plan)
    whole = not result.expression
    result.stale = baselines.apply(entries, result.cases, today=today.date(), whole=whole)
    say(text.lines(result))
    if write_baseline:
        draft = baselines.draft(entries, result.cases, today=today.date())
        with _about_to_write(write_baseline):
            write_baseline.write_text(draft, encoding="utf-8")
        say([f"{write_baseline}: a draft; give each entry its reason"])
    if report:
        with _about_to_write(report):
            reports.write([result], report)
        say([f"report: {report / 'index.html'}"])
    return 0 if result.passed else 1


def judge(plan: Plan) -> Result:
    """Run the cases against a relay and return what came of them.

    Raises:
        InputError: there is no such case, or `-k` is no expression.
        KeyboardInterrupt: somebody has interrupted it; half a run has no result.

    """
    of_requirements = (case for id_ in plan.asked for case in cases_of(id_))
    cases = list(dict.fromkeys([*plan.cases, *of_requirements]))
    workers = plan.workers
    if cases and workers == "auto":
        workers = "0"  # a worker takes longer to start than a case to run
    if workers == "0" and plan.relay.startswith("python:"):
        workers = "1"  # a function that ends its process must not end ours
    _check_expression(plan.expression)
    _check_names(cases)
    verdicts = Verdicts()
    directory = conformance_cases()
    arguments = [
        *([f"{directory}/{case}" for case in cases] or [str(directory)]),
        "-c", str(Path(__file__).with_name("cases.ini")),
        f"--rootdir={directory}",
        f"--confcutdir={directory}",
        "-p", "harness.plugin",
        "-p", "harness.judge.plugin",
        "-p", "xdist.plugin",
        f"--relay={plan.relay}",
        f"--numprocesses={workers}",
        "--dist=worksteal",
        f"--max-worker-restart={_MOST_CRASHES}",
        "--import-mode=importlib",
        "-p", "no:terminal",  # the verdicts are the output
        "-p", "no:unraisableexception",  # a tenth of a second of garbage, for unseen warnings
        "-p", "no:cacheprovider",  # nothing is written where the user happens to be
    ]  # fmt: skip
    if plan.expression:
        arguments += ["-k", plan.expression]
    started, begin = dt.datetime.now(tz=dt.UTC), time.monotonic()
    with _own_environment(), counting(verdicts) as counter:
        code = pytest.main(arguments, plugins=[verdicts, counter])
    if plan.selection and not verdicts.cases and code in _NOTHING_SELECTED:
        raise _nothing_selected(plan.selection)
    if code is pytest.ExitCode.INTERRUPTED and not verdicts.broken:
        raise KeyboardInterrupt(*verdicts.interrupted)
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} and not verdicts.broken:
        verdicts.broken.append(f"pytest ended with {pytest.ExitCode(code).name}")
    begun = len(verdicts.cases)
    verdicts.finish()
    if begun < len(verdicts.cases):
        verdicts.broken.append(
            f"the run ended after {begun} of {len(verdicts.cases)} cases; the rest did not run"
        )
    return Result(
        relay=plan.relay,
        identity=plan.identity,
        kit=version("deploy-relay-kit"),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begin, 3),
        expression=plan.selection,
        cases=sorted(verdicts.cases.values(), key=lambda case: case.id),
        broken=verdicts.broken,
    )


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Without what tells pytest of other plugins and options, and libraries of proxies.

    The workers of xdist inherit it.
    """
    before = dict(os.environ)
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", *filter(names_a_proxy, before)):
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _about_to_write(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_there = error.filename is not None and Path(error.filename).exists()
        where = error.filename if is_there else path
        raise InputError(f"cannot write to {where}: {error.strerror}") from error


def _check_expression(expression: str) -> None:
    # Looked at here, since a worker that cannot read it dies with a traceback.
    try:
        Expression.compile(expression)
    except SyntaxError as error:
        raise InputError(
            f"-k {expression!r}: {error.msg}; give names or parts of names, with and, or, not"
        ) from error


def _check_names(cases: Sequence[str]) -> None:
    # Looked at here, since pytest would say so too, with a path that means nothing to the user.
    known = {place for places in cases_by_requirement().values() for place in places}
    for case in cases:
        if case.partition("[")[0] not in known:
            raise _nothing_selected(f"--case {case}")


def _nothing_selected(asked: str) -> InputError:
    return InputError(
        f"{asked}: selects no case; their names are those of `relay-harness explain REQUIREMENT`"
    )


def _read(path: Path) -> list[Entry]:
    try:
        return baselines.parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise InputError(f"--baseline {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--baseline {path}: not UTF-8; save it as UTF-8") from error
