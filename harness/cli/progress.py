"""How far a run is, for a person who waits for it: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.judge.verdicts import Verdicts


class Counter:
    """A pytest plugin that counts the cases, also those of the workers of xdist."""

    def __init__(self, verdicts: Verdicts, bar: Progress) -> None:
        self._verdicts = verdicts
        self._bar = bar
        self._task = bar.add_task("", total=None, failed="")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._bar.update(self._task, total=len(session.items) or None)

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._bar.update(self._task, total=len(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            failed = sum(case.has_failed for case in self._verdicts.cases.values())
            shown = f"{failed} failed" if failed else ""
            self._bar.update(self._task, advance=1, failed=shown)


@contextlib.contextmanager
def counting(verdicts: Verdicts) -> Iterator[Counter]:
    """A counter that shows itself on standard error, and leaves nothing there."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("cases {task.fields[failed]}"))
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield Counter(verdicts, bar)
