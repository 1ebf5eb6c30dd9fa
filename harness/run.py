"""Run the conformance cases with pytest and say what came out, from any directory."""

from __future__ import annotations

import datetime as dt
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from harness import baseline as baselines
from harness import report as reports
from harness.report import text
from harness.results import Result
from harness.shipped_paths import conformance_cases
from harness.verdicts import Verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from harness.baseline import Entry


class RunError(Exception):
    """What was asked of a run cannot be done; nothing has run."""


def run(
    *,
    relay: str,
    workers: str = "auto",
    expression: str = "",
    baseline: Path | None = None,
    write_baseline: Path | None = None,
    report: Path | None = None,
) -> int:
    """Judge a relay; print a line per requirement; return 0 when nothing is red, else 1.

    Args:
        relay: the target, as `--relay` takes it.
        workers: worker processes, a number or `auto`; `0` runs in this process.
        expression: pytest's `-k`; empty runs every case.
        baseline: a file of known failures.
        write_baseline: where to write a draft of one; never over another file.
        report: a directory for the reports.

    Raises:
        RunError: a file cannot be read or written, or is no baseline; the text names it.
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
    result = judge(relay=relay, workers=workers, expression=expression)
    result.stale = baselines.apply(entries, result.cases, today=today.date(), whole=not expression)
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


def judge(*, relay: str, workers: str = "auto", expression: str = "") -> Result:
    """Run the cases against a relay and return what came of them; arguments as for `run`."""
    verdicts = Verdicts()
    arguments = [
        str(conformance_cases()),
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
    pytest.main(arguments, plugins=[verdicts])
    return Result(
        relay=relay,
        kit=version("deploy-relay-kit"),
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - begin, 3),
        expression=expression,
        cases=sorted(verdicts.cases.values(), key=lambda case: case.id),
        broken=verdicts.broken,
    )


def _read(path: Path) -> list[Entry]:
    try:
        return baselines.parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise RunError(f"--baseline {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"--baseline {path}: not UTF-8; save it as UTF-8") from error
