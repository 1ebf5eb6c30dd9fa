"""`relay-harness run`: judge a relay, print what was found, write baselines and reports."""

import contextlib
import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from deploy_relay_kit.harness.cli.output import say
from deploy_relay_kit.harness.cli.progress import counting
from deploy_relay_kit.harness.cli.replay import write_bundles
from deploy_relay_kit.harness.errors import InputError, read_text
from deploy_relay_kit.harness.judge import baseline as baselines
from deploy_relay_kit.harness.judge import report as reports
from deploy_relay_kit.harness.judge.baseline import Baseline
from deploy_relay_kit.harness.judge.explain import cases_of
from deploy_relay_kit.harness.judge.model import Result
from deploy_relay_kit.harness.judge.prerequisite import prerequisite
from deploy_relay_kit.harness.judge.report import text
from deploy_relay_kit.harness.judge.run import Plan, judge, new_result

_HEALTHY = "test_wire.py::test_the_upload_keeps_to_the_wire_format"


@dataclass(frozen=True)
class Output:
    """Where a run reads from and writes to.

    Attributes:
        baseline: a file of known failures.
        write_baseline: where to write a draft of one; never over another file.
        report: a directory for the reports.
        bundle: a directory for a bundle of each cause.
        verbose: whether to print a line for each requirement.
        keep_going: whether to run every case although a healthy deploy does not work.
    """

    baseline: Path | None = None
    write_baseline: Path | None = None
    report: Path | None = None
    bundle: Path | None = None
    verbose: bool = False
    keep_going: bool = False


def run(plan: Plan, output: Output) -> int:
    """Judge a relay; return 0 when a requirement was judged and nothing is red, else 1.

    Raises:
        InputError: a file cannot be read or written, is not a baseline, or nothing is selected; the
            text names it. Nothing has run, except where a file became unwritable in between.
    """
    known = _read(output.baseline) if output.baseline else Baseline()
    _check_writable(output)
    for id_ in plan.requirements:
        cases_of(id_)  # an unknown id is reported before a target is started
    today = dt.datetime.now(tz=dt.UTC).date()
    known_before = prerequisite(plan.relay)
    plan = replace(plan, identity=known_before.identity)
    with contextlib.ExitStack() as cleanup:
        recorded = None
        if output.bundle:
            recorded = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        if known_before.blocked_by and not output.keep_going:
            result = bundled = new_result(plan)
            if recorded:  # the deploy that does not work, as a case
                bundled = judge(
                    replace(plan, cases=[_HEALTHY], requirements=(), expression=""),
                    bundles=recorded,
                )
        else:
            with counting() as counter:
                result = bundled = judge(plan, counter, bundles=recorded)
        result.prerequisite = known_before.blocked_by
        looks = list(result.looks())
        result.stale = baselines.apply(known, looks, today=today, whole=not result.selection)
        say(text.lines(result, verbose=output.verbose))
        if output.write_baseline:
            with _about_to_write("--write-baseline", output.write_baseline):
                draft = baselines.draft(known, looks, today=today, whole=not result.selection)
                output.write_baseline.write_text(draft, encoding="utf-8")
            say([f"{output.write_baseline}: a draft; give each entry its reason"])
        if output.report:
            _write_report(result, output.report)
        if output.bundle and recorded:
            with _about_to_write("--bundle", output.bundle):
                paths = list(write_bundles(bundled, recorded, output.bundle))
            say(
                [f"bundle: {path}" for path in paths]
                or ["bundle: none, because no case ran that failed"]
            )
    return 0 if result.passed else 1


def _check_writable(output: Output) -> None:
    """Find out before a run that its result has a place to go."""
    if output.write_baseline:
        if output.write_baseline.exists():
            raise InputError(f"--write-baseline {output.write_baseline}: exists; name a new file")
        with _about_to_write("--write-baseline", output.write_baseline):
            tempfile.TemporaryFile(dir=output.write_baseline.parent).close()
    for option, directory in (("--report", output.report), ("--bundle", output.bundle)):
        if directory is None:
            continue
        if directory.exists() and not directory.is_dir():
            raise InputError(f"{option} {directory}: is not a directory; name another one")
        with _about_to_write(option, directory):
            directory.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=directory).close()


def _write_report(result: Result, directory: Path) -> None:
    with _about_to_write("--report", directory):
        reports.write([result], directory)
    say([f"report: {directory / 'index.html'}"])


@contextlib.contextmanager
def _about_to_write(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_there = error.filename is not None and Path(error.filename).exists()
        where = error.filename if is_there else path
        raise InputError(f"{option}: cannot write to {where}: {error.strerror}") from error


def _read(path: Path) -> Baseline:
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError(f"--baseline {error}; give a file as of --write-baseline") from error
    return baselines.parse(text, f"--baseline {path}")
