"""The pytest plugin of the judge: which relay is judged, what each case looked at, what it found.

Loaded by `relay-harness run` and by the kit's own tests, as `addopts` in `pyproject.toml` shows;
never by the tests of others. Each report of a case carries one attribute, the case as JSON values.
"""

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.judge.bundle import archive
from deploy_relay_kit.harness.judge.bundle.recording import record
from deploy_relay_kit.harness.judge.cases import checks as looks
from deploy_relay_kit.harness.judge.cases.always import always
from deploy_relay_kit.harness.judge.cases.checks import CaseOver, Checks
from deploy_relay_kit.harness.judge.cases.control import block
from deploy_relay_kit.harness.judge.cases.evidence import end_of, gather, hider
from deploy_relay_kit.harness.judge.cases.ids import plain_id, plain_ids
from deploy_relay_kit.harness.judge.cases.leaks.search import (
    Files,
    changed_since,
    files_in_reach,
    leaks,
)
from deploy_relay_kit.harness.judge.cases.relay import NotApplicable, Relay
from deploy_relay_kit.harness.judge.cases.wording import Comparison, cut
from deploy_relay_kit.harness.judge.collector import ATTRIBUTE
from deploy_relay_kit.harness.judge.explain import requirements_of
from deploy_relay_kit.harness.judge.hints import hint_for
from deploy_relay_kit.harness.judge.interrupts import interrupt
from deploy_relay_kit.harness.judge.model import Case, Check, Verdict
from deploy_relay_kit.harness.targets import RELAY_VARIABLE
from deploy_relay_kit.harness.targets.outcome import TargetBrokeError, TargetSkippedError
from deploy_relay_kit.harness.witness.printable import printable

_CHECKS = pytest.StashKey[Checks]()
_CASE = pytest.StashKey[Case]()
_MOST_WORKERS = 24  # a worker takes a second of a core to start


class CaseFailed(Exception):  # noqa: N818 - pytest shows its name
    """A case with a check that failed, or that could not be made."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("deploy relay kit")
    group.addoption(
        "--relay",
        metavar="TARGET",
        default=os.environ.get(RELAY_VARIABLE) or "reference",
        help=f"the relay that the cases judge (default: ${RELAY_VARIABLE}, or reference)",
    )
    group.addoption("--bundles", metavar="DIR", help="record a bundle of each case there")
    group.addoption("--bundle-passed", action="store_true", help="also of cases that passed")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # in a worker of xdist nobody else handles it
        signal.signal(signal.SIGTERM, interrupt)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> None:
    """Keep the comparison that did not hold, for the message of a check."""
    looks.last_comparison[:] = [Comparison(op, left, right)]


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Name the rows of the cases' tables so that a shell and a person can read them."""
    parametrize = metafunc.parametrize

    def named(*args: Any, ids: Any = None, **how: Any) -> None:
        parametrize(*args, ids=plain_ids(ids), **how)

    metafunc.parametrize = named  # type: ignore[method-assign]  # pytest has no hook for given ids


def pytest_make_parametrize_id(val: object) -> str | None:
    """The name of a row's value, where a case gives none."""
    return plain_id(val)


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Two for each core, since half of a case's time is spent waiting; at most `_MOST_WORKERS`."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:  # xdist reads it
        return None
    own = getattr(os, "sched_getaffinity", None)  # not on macOS
    return min(2 * (len(own(0)) if own else os.cpu_count() or 1), _MOST_WORKERS)


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Checks:
    """What a case looks at requirements with: see `Checks`."""
    checks: Checks = request.node.stash.setdefault(_CHECKS, Checks(request.path))
    return checks


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Judge a case: what it looked at, and what is looked at after every case."""
    relay = getattr(item, "funcargs", {}).get("relay")
    if not isinstance(relay, Relay) or _CHECKS not in item.stash:
        return (yield)
    before, result, ended_by = files_in_reach(), None, None
    try:
        result = yield
    except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - it becomes a verdict
        ended_by = error
    case = Case(item.nodeid, _title(item))
    cluster: FakeCluster = item.funcargs["cluster"]  # type: ignore[attr-defined]  # of a function
    judge(
        case,
        item.stash[_CHECKS],
        relay,
        cluster,
        ended_by=ended_by,
        before=before,
        path=item.path,
    )
    item.stash[_CASE] = case
    _record(item, relay, cluster)
    if case.error and ended_by is not None:
        raise ended_by
    if case.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(f"not applicable: {', '.join({it.blocked_by for it in case.checks})}")
    if case.verdict.has_failed:
        raise CaseFailed(printable("\n".join(map(_line, case.checks)))) from ended_by
    return result


def _record(item: pytest.Item, relay: Relay, cluster: FakeCluster) -> None:
    """Leave a bundle of the case, if the run is to record it."""
    case, directory = item.stash[_CASE], item.config.getoption("bundles")
    if directory and (case.verdict.has_failed or item.config.getoption("bundle_passed")):
        archive.write(record(case, relay, cluster), archive.bundle_of(Path(directory), case.id))


def judge(
    case: Case,
    checks: Checks,
    relay: Relay,
    cluster: FakeCluster,
    *,
    ended_by: BaseException | None,
    before: Files,
    path: Path | None = None,
) -> None:
    """Say what a case found that has just ended, while its peers are still up.

    Args:
        case: gets the checks and the evidence.
        checks: its looks.
        relay: the relay that it deployed with.
        cluster: the peers that it deployed to.
        ended_by: what it raised.
        before: the files in reach of the relay before it began.
        path: the file of the case; by default it is one of the conformance cases.
    """
    case.checks = list(checks.checks)
    if ended_by is not None or not case.checks:
        seen = {check.requirement for check in case.checks}
        if all(it.verdict is Verdict.PASSED for it in case.checks):
            seen = set()  # what it has passed so far is not all that it looks at
        _conclude(case, [it for it in requirements_of(case.id, path) if it not in seen], ended_by)
    if relay.commands:
        block(case, relay, cluster)
        # What the case itself has found is one defect, and one charge.
        charged = {it.requirement for it in case.checks if it.verdict is Verdict.FAILED}
        found = always(cluster, relay)
        case.checks += [it for it in found if it.rule or it.requirement not in charged]
        for where in leaks(cluster.peers, relay, changed_since(before)):
            case.checks.append(Check("BUG-41", Verdict.FAILED, "passwords and tokens", got=where))
    if case.verdict.has_failed:
        hide = hider([cluster])
        for check in case.checks:
            check.expected, check.got = cut(check.expected, hide), cut(check.got, hide)
            check.blocked_by = cut(check.blocked_by, hide)
            check.reason = cut(check.reason, hide)
            check.hint = hint_for(check, case.function)
        case.evidence = gather([cluster], relay, case.checks)


def _conclude(case: Case, rest: list[str], ended_by: BaseException | None) -> None:
    """The verdict on what the case has not looked at, by what ended it, if anything did."""
    verdict, reason = Verdict.UNTESTABLE, str(ended_by).partition("\n")[0]
    match ended_by:
        case None:
            case.error, verdict = "the case looked at nothing", Verdict.HARNESS_ERROR
        case NotApplicable():
            verdict = Verdict.NOT_APPLICABLE
        case pytest.skip.Exception():
            verdict = Verdict.NOT_APPLICABLE
        case TargetBrokeError():
            text = str(ended_by)
            case.checks.append(
                Check("AGG-02", Verdict.FAILED, "the deploy", "records", f"none: {text}")
            )
        case TargetSkippedError() | Unseen() | CaseOver() | TimeoutError():
            pass
        case AssertionError():
            reason = _said(ended_by)
        case _:
            case.error, verdict = f"{type(ended_by).__name__}: {ended_by}", Verdict.HARNESS_ERROR
    case.checks += [Check(id_, verdict, blocked_by=reason) for id_ in rest]


def _said(error: AssertionError) -> str:
    """What an assertion outside of any check demanded, and what stood in the way."""
    text = str(error).partition("\nassert ")[0]
    if looks.last_comparison and text.startswith("assert "):
        comparison = looks.last_comparison[-1]
        return f"expected {comparison.expected}, got {comparison.got}"
    return text.removeprefix("assert ")


def _title(item: pytest.Item) -> str:
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _line(check: Check) -> str:
    if check.blocked_by:
        return f"{check.requirement} {check.verdict}: {check.blocked_by}"
    if check.verdict is Verdict.PASSED:
        return f"{check.requirement} passed"
    sides = f"expected {check.expected}, got {check.got}" if check.expected else check.got
    return f"{check.requirement} {check.verdict}: {check.subject or check.where}: {sides}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the case to the report of its call, or of what kept it from being called."""
    report = yield
    if report.when == "call" and _CASE in item.stash:
        _add_captured(item, report)
        vars(report)[ATTRIBUTE] = msgspec.to_builtins(item.stash[_CASE])
    elif report.failed and (ids := requirements_of(item.nodeid, item.path)):
        error = call.excinfo.value if call.excinfo else None
        vars(report)[ATTRIBUTE] = msgspec.to_builtins(_unjudged(item.nodeid, ids, report, error))
    return report


def _add_captured(item: pytest.Item, report: pytest.TestReport) -> None:
    """Keep what was written in this process, for a target that has no output of its own."""
    evidence = item.stash[_CASE].evidence
    if evidence is not None and not evidence.wrote:
        captured = (text for title, text in report.sections if title.startswith("Captured"))
        evidence.wrote = end_of("".join(captured), [item.funcargs["cluster"]])  # type: ignore[attr-defined]  # of a function


def _unjudged(
    id_: str, ids: list[str], report: pytest.TestReport, error: BaseException | None
) -> Case:
    """The case whose set-up or tear-down failed."""
    if isinstance(error, (TargetBrokeError, TargetSkippedError)):
        reason = str(error).partition("\n")[0]
        return Case(id_, checks=[Check(it, Verdict.UNTESTABLE, blocked_by=reason) for it in ids])
    checks = [Check(it, Verdict.HARNESS_ERROR) for it in ids]
    return Case(id_, checks=checks, error=report.longreprtext)
