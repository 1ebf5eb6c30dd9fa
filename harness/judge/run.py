"""Run the conformance cases with pytest, from any directory, and return the result."""

import contextlib
import datetime as dt
import difflib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression  # pytest has no public name for it

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.judge.collector import Collector
from deploy_relay_kit.harness.judge.explain import cases_of, every_case
from deploy_relay_kit.harness.judge.model import Result
from deploy_relay_kit.harness.judge.shipped_paths import conformance_cases
from deploy_relay_kit.harness.targets.child import is_withheld

_MOST_CRASHES = 100
"""Worker processes that a relay in the same process may end before no other is started."""
_MOST_WORKERS = 512  # processes
_NOTHING_SELECTED = {pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR}


@dataclass(frozen=True)
class Plan:
    """Which relay is judged, and by which cases.

    Attributes:
        relay: the target, as `--relay` takes it.
        identity: name and version of the relay, as the target gives them.
        workers: worker processes, a number or `auto`; `0` runs in this process.
        expression: pytest's `-k`; empty runs every case.
        cases: only these, each as `file::name`; empty runs every case.
        requirements: only the cases of these requirements, or families, besides `cases`.
    """

    relay: str
    identity: str = ""
    workers: str = "auto"
    expression: str = ""
    cases: Sequence[str] = ()
    requirements: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.workers != "auto" and not self.workers.isdecimal():
            raise InputError(f"-n {self.workers!r}: give a number of worker processes, or auto")
        if self.workers != "auto" and int(self.workers) > _MOST_WORKERS:
            raise InputError(f"-n {self.workers}: give at most {_MOST_WORKERS} worker processes")

    @property
    def selection(self) -> str:
        """What is selected, as options; empty when every case is."""
        return " ".join(
            [
                *(f"--requirement {id_}" for id_ in self.requirements),
                *(f"--case {case}" for case in self.cases),
                *([f"-k {self.expression}"] if self.expression else []),
            ]
        )


def new_result(plan: Plan) -> Result:
    """A result that begins now, with nothing judged yet."""
    return Result(
        relay=plan.relay,
        identity=plan.identity,
        kit=version("deploy-relay-kit"),
        started=dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        selection=plan.selection,
    )


def judge(
    plan: Plan, *plugins: object, bundles: Path | None = None, passed_too: bool = False
) -> Result:
    """Run the cases against a relay and return the result.

    Args:
        plan: which relay, and which cases.
        plugins: further pytest plugins, such as a progress bar.
        bundles: a directory for a bundle of each case that did not pass; see `archive.bundle_of`.
        passed_too: a bundle of each case that passed, too.

    Raises:
        InputError: there is no such case, or `-k` is not an expression.
        KeyboardInterrupt: the run was interrupted; half a run has no result.
    """
    of_requirements = (case for id_ in plan.requirements for case in cases_of(id_))
    cases = list(dict.fromkeys([*plan.cases, *of_requirements]))
    _check_expression(plan.expression)
    _check_names(cases)
    collector, result, begin = Collector(), new_result(plan), time.monotonic()
    with _own_environment():
        arguments = [*_arguments(plan, cases), *_recording(bundles, passed_too=passed_too)]
        code = pytest.main(arguments, plugins=[collector, *plugins])
    if plan.selection and not collector.cases and code in _NOTHING_SELECTED:
        raise _nothing_selected(plan)
    broken = collector.broken
    if code is pytest.ExitCode.INTERRUPTED and not broken:
        raise KeyboardInterrupt(*collector.interrupted)
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED} and not broken:
        broken.append(f"pytest ended with {pytest.ExitCode(code).name}")
    begun = len(collector.cases)
    collector.finish()
    if begun < len(collector.cases):
        every = len(collector.cases)
        broken.append(f"the run ended after {begun} of {every} cases; the rest did not run")
    result.cases = sorted(collector.cases.values(), key=lambda case: case.id)
    result.broken, result.seconds = broken, round(time.monotonic() - begin, 3)
    return result


def _arguments(plan: Plan, cases: Sequence[str]) -> list[str]:
    directory = conformance_cases()
    workers = plan.workers
    if cases and workers == "auto":
        workers = "0"  # a worker takes longer to start than a case to run
    if workers == "0" and plan.relay.startswith("python:"):
        workers = "1"  # a function that ends its process must not end this one
    arguments = [
        *([f"{directory}/{case}" for case in cases] or [str(directory)]),
        "-c", str(Path(__file__).with_name("cases.ini")),
        f"--rootdir={directory}",
        f"--confcutdir={directory}",
        "-p", "deploy_relay_kit.pytest_plugin",
        "-p", "deploy_relay_kit.harness.judge.cases.garbage",
        "-p", "deploy_relay_kit.harness.judge.cases.plugin",
        "-p", "xdist.plugin",
        f"--relay={plan.relay}",
        f"--numprocesses={workers}",
        "--dist=worksteal",
        f"--max-worker-restart={_MOST_CRASHES}",
        "--import-mode=importlib",
        "-p", "no:terminal",  # the verdicts are the output
        "-p", "no:unraisableexception",  # it collects garbage for a tenth of a second
        "-p", "no:cacheprovider",  # nothing is written to the current directory
    ]  # fmt: skip
    return [*arguments, "-k", plan.expression] if plan.expression else arguments


def _recording(bundles: Path | None, *, passed_too: bool) -> list[str]:
    if bundles is None:
        return []
    return [f"--bundles={bundles}", *(["--bundle-passed"] if passed_too else [])]


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Without variables that name plugins and options of pytest, proxies or authorities.

    The workers of xdist inherit it.
    """
    before = dict(os.environ)
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", *filter(is_withheld, before)):
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _check_expression(expression: str) -> None:
    # Checked here: a worker that cannot read it dies with a traceback.
    try:
        Expression.compile(expression)
    except SyntaxError as error:
        raise InputError(
            f"-k {expression!r}: {error.msg}; give names or parts of names, with and, or, not"
        ) from error


def _check_names(cases: Sequence[str]) -> None:
    # Checked here: pytest would name a path that means nothing to the user.
    if not cases:
        return  # reading all files takes a quarter of a second
    known = {place for places in every_case().values() for place in places}
    for case in cases:
        if case.partition("[")[0] not in known:
            raise InputError(f"--case {case}: no such case{_nearest(case, known)}")


def _nearest(case: str, known: Collection[str]) -> str:
    file, _, name = case.partition("[")[0].rpartition("::")
    of_name = [place for place in known if place.endswith(f"::{name}")]
    near = of_name or difflib.get_close_matches(f"{file}::{name}", known, n=1, cutoff=0.5)
    if near:
        return f"; the nearest name is {near[0]}"
    return "; `relay-harness explain REQUIREMENT` lists the names of its cases"


def _is_row(case: str) -> bool:
    collector, plan = Collector(), Plan("reference", workers="0")
    with _own_environment():
        pytest.main([*_arguments(plan, [case]), "--collect-only"], plugins=[collector])
    return bool(collector.collected)


def _nothing_selected(plan: Plan) -> InputError:
    for case in plan.cases:
        place, bracket, _ = case.partition("[")
        if bracket and not _is_row(case):
            return InputError(
                f"--case {case}: no such row in the table of this case; --case {place} runs all"
            )
    return InputError(
        f"{plan.selection}: selects no case; `relay-harness explain REQUIREMENT` lists their names"
    )
