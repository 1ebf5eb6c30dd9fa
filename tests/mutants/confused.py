"""A pytest plugin: run the conformance cases against many mutants, and write what turned red.

Loaded by `tests/mutants/confusion.py` alone. One session loads the cases once and runs them again
for each mutant of its part.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from deploy_relay_kit.harness import Authority
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.collector import ATTRIBUTE
from deploy_relay_kit.harness.judge.model import Verdict
from deploy_relay_kit.harness.judge.prerequisite import try_healthy_deploy
from tests.mutants.catalogue import BY_PLACE, shorten
from tests.mutants.confusion import Matrix, matrix
from tests.mutants.mutant import Case, Mutant

LEFT_OUT = ("test_memory.py", "test_patience.py")
"""Their cases take seconds each; only the mutants that name them meet them."""

_MOST_ROWS = 3  # of a case that a mutant names
_MOST_AGAIN = 8  # cases of a requirement that are run again

_now: list[Mutant] = []
"""The mutant that the cases meet at the moment."""

_blocked: list[str] = []
"""Why it cannot even deploy to a healthy peer, once that was tried."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", type=int, default=0)
    parser.addoption("--parts", type=int, default=1)
    parser.addoption("--share", type=int, default=1)
    parser.addoption("--mutant", action="append", default=[])
    parser.addoption("--reds", type=Path)
    parser.addoption("--again", action="store_true")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Run the chosen cases for each mutant that has no line in the file of reds yet."""
    option = session.config.getoption
    file: Path = option("--reds")
    lines = file.read_text().splitlines() if file.exists() else []
    done = {json.loads(line)["mutant"] for line in lines}
    only, known = option("--mutant"), matrix() if option("--again") else {}
    for mutant in list(BY_PLACE.values())[option("--part") :: option("--parts")]:
        if mutant.place in done or (known and not known.get(mutant.place)):
            continue
        if not only or mutant.name in only or mutant.place in only:
            _now[:] = [mutant]
            _blocked.clear()
            reds = {
                f"{item.path.name}::{item.name}": _reds(item)
                for item in chosen(mutant, session.items, option("--share"))
                if not known or was_red(mutant, item, known)
            }
            line = {"mutant": mutant.place, "reds": reds, "blocked": bool(_blocked and _blocked[0])}
            with file.open("a") as out:
                out.write(json.dumps(line) + "\n")
    return True


def chosen(mutant: Mutant, items: list[pytest.Item], share: int) -> list[pytest.Item]:
    """One row of each case in a mutant's share, and rows of the cases that it names.

    Of a case that it names, the rows that it names come first: another row may not show the bug.
    """
    named: dict[str, list[Case]] = {}
    for case in mutant.killed_by:
        named.setdefault(case.name, []).append(case)
    rows: dict[str, list[pytest.Item]] = {}
    for item in items:
        rows.setdefault(f"{item.path.stem}.{item.name.partition('[')[0]}", []).append(item)
    kept = []
    for name, of_case in rows.items():
        number = zlib.crc32(f"{mutant.name} {name}".encode())
        if name in named:
            meant = [row for case in named[name] if (row := row_of(case, of_case)) is not None]
            others = [item for item in of_case if item not in meant]
            kept += [*dict.fromkeys(meant), *others[: max(0, _MOST_ROWS - len(meant))]]
        elif of_case[0].path.name not in LEFT_OUT and number % share == 0:
            kept.append(of_case[number // share % len(of_case)])
    return kept


def row_of(case: Case, items: list[pytest.Item]) -> pytest.Item | None:
    """The first row of a case with the values that a mutant names."""
    for item in items:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        if all(values.get(name) == value for name, value in case.values.items()):
            return item
    return None


def was_red(mutant: Mutant, item: pytest.Item, known: Matrix) -> bool:
    """Whether a mutant names a case, or it was red in the last run, among the first of its id."""
    name = f"{item.path.name}::{item.name.partition('[')[0]}"
    if name.replace(".py::", ".") in {case.name for case in mutant.killed_by}:
        return True
    return any(name in cases[:_MOST_AGAIN] for cases in known[mutant.place].values())


def blocked(relay: Relay, authority: Authority) -> str:
    """Why the mutant cannot even deploy to a healthy peer: a whole run would end with that."""
    if not _blocked:
        _blocked.append(try_healthy_deploy(relay.target, authority).blocked_by)
    return _blocked[0]


def _reds(item: pytest.Item) -> list[str]:
    """The requirements that one case turns red."""
    item.stash = pytest.Stash()  # a case runs once for each mutant
    item._initrequest()  # type: ignore[attr-defined]  # as pytest-rerunfailures does
    reds: set[str] = set()
    # The session as the next item: its fixtures stay, all others are torn down.
    for report in runtestprotocol(item, log=False, nextitem=item.session):  # type: ignore[arg-type]
        case: dict[str, Any] = vars(report).get(ATTRIBUTE) or {}
        checks = case.get("checks", [])
        reds |= {it["requirement"] for it in checks if it["verdict"] == Verdict.FAILED}
        if case.get("error"):
            reds.add("harness error")
    return sorted(reds)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Apply the mutant for the time of the case; its set-up meets the reference.

    The healthy deploy has a patch of its own: what a mutant keeps of it must not change the case.
    """
    relay = item.funcargs.get("relay")  # type: ignore[attr-defined]
    if isinstance(relay, Relay):
        with pytest.MonkeyPatch.context() as patch:
            _now[0].apply(patch)
            relay.blocked_by = blocked(relay, item.funcargs["cluster"].authority)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        _now[0].apply(patch)
        module = sys.modules[item.function.__module__]  # type: ignore[attr-defined]
        if any(f"{item.path.stem}.{item.originalname}" == case.name for case in _now[0].killed_by):  # type: ignore[attr-defined]
            shorten(module, patch)  # the others are to be slow alone, and not red for it
        return (yield)
