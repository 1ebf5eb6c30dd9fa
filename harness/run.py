"""Run the conformance cases with pytest and say what came out, from any directory."""

from __future__ import annotations

import datetime as dt
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from _pytest.mark.expression import Expression  # pytest has no public name for it

from harness import baseline as baselines
from harness import report as reports
from harness.report import text
from harness.results import Result
from harness.shipped_paths import conformance_cases
from harness.verdicts import Verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.baseline import Entry


_NOTHING_SELECTED = {
    pytest.ExitCode.NO_TESTS_COLLECTED,
    pytest.ExitCode.USAGE_ERROR,
    pytest.ExitCode.INTERNAL_ERROR,  # when workers, not we, see that there is no such case
}


class RunError(Exception):
    """What was asked of a run cannot be done; nothing has run."""


def run(
    *,
    relay: str,
    workers: str = "auto",
    expression: str = "",
    cases: Sequence[str] = (),
    baseline: Path | None = None,
    write_baseline: Path | None = None,
    report: Path | None = None,
) -> int:
    """Judge a relay; print a line per requirement; return 0 when nothing is red, else 1.

    Args:
        relay: the target, as `--relay` takes it.
        workers: worker processes, a number or `auto`; `0` runs in this process.
        expression: pytest's `-k`; empty runs every case.
        cases: only these, each as `file::name`; none runs every case.
        baseline: a file of known failures.
        write_baseline: where to write a draft of one; never over another file.
        report: a directory for the reports.

    Raises:
        RunError: a file cannot be read or written, or is no baseline, or nothing is selected; the
            text names it.
        BaselineError: the baseline is none.

    """
    entries = _read(baseline) if baseline else []
    # Whoever has waited for a run should not learn then that its result has nowhere to go.
    try:
        if report:
            report.mkdir(parents=True, exist_ok=True)
        if write_baseline:
            write_baseline.touch(exist_ok=False)
    except FileExistsError as error:
        raise RunError(f"{error.filename}: is there already; name a new one") from error
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}") from error
    today = dt.datetime.now(tz=dt.UTC)
    result = judge(relay=relay, workers=workers, expression=expression, cases=cases)
    whole = not result.expression
    result.stale = baselines.apply(entries, result.cases, today=today.date(), whole=whole)
    for line in text.lines(result):
        print(line)
    if write_baseline:
        draft = baselines.draft(entries, result.cases, today=today.date())
        write_baseline.write_text(draft, encoding="utf-8")
        print(f"{write_baseline}: a draft; give each entry its reason")
    if report:
        reports.write([result], report)
        print(f"report: {report / 'index.html'}")
    return 0 if result.passed else 1


def judge(
    *, relay: str, workers: str = "auto", expression: str = "", cases: Sequence[str] = ()
) -> Result:
    """Run the cases against a relay and return what came of them; arguments as for `run`.

    Raises:
        RunError: there is no such case, or `-k` is no expression.

    """
    if cases and workers == "auto":
        workers = "0"  # a worker takes longer to start than a case to run
    _check_expression(expression)
    verdicts = Verdicts()
    arguments = [
        *([f"{conformance_cases()}/{case}" for case in cases] or [str(conformance_cases())]),
        f"--relay={relay}",
        f"--numprocesses={workers}",
        "--dist=worksteal",
        "--import-mode=importlib",
        "-p", "no:terminal",  # the verdicts are the output
        "-p", "no:cacheprovider",  # nothing is written where the user happens to be
        "-o", "addopts=",
        # pytest would rewrite the assertions of `harness`, which is imported by now and has none.
        "-o", "filterwarnings=error\nignore::pytest.PytestAssertRewriteWarning",
    ]  # fmt: skip
    if expression:
        arguments += ["-k", expression]
    started, begin = dt.datetime.now(tz=dt.UTC), time.monotonic()
    code = pytest.main(arguments, plugins=[verdicts])
    selected = [
        *(f"--case {case}" for case in cases),
        *([f"-k {expression}"] if expression else []),
    ]
    if selected and not verdicts.cases and code in _NOTHING_SELECTED:
        raise RunError(
            f"{' '.join(selected)}: selects no case; their names are those of "
            "`relay-harness explain REQUIREMENT`"
        )
    return Result(
        relay=relay,
        kit=version("deploy-relay-kit"),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begin, 3),
        expression=" ".join(selected),
        cases=sorted(verdicts.cases.values(), key=lambda case: case.id),
        broken=verdicts.broken,
    )


def _check_expression(expression: str) -> None:
    # Looked at here, since a worker that cannot read it dies with a traceback.
    try:
        Expression.compile(expression)
    except SyntaxError as error:
        raise RunError(
            f"-k {expression!r}: {error.msg}; give names or parts of names, with and, or, not"
        ) from error


def _read(path: Path) -> list[Entry]:
    try:
        return baselines.parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise RunError(f"--baseline {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"--baseline {path}: not UTF-8; save it as UTF-8") from error
