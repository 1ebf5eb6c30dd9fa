"""The progress of a run: a bar on a terminal, nothing elsewhere."""

import contextlib
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class Counter:
    """A pytest plugin that counts the cases, also those of the workers of xdist."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, failed="")
        self._failed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._bar.update(self._task, total=len(session.items) or None)

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._bar.update(self._task, total=len(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)
        if report.when == "teardown":
            shown = f"{len(self._failed)} failed" if self._failed else ""
            self._bar.update(self._task, advance=1, failed=shown)


@contextlib.contextmanager
def counting() -> Iterator[Counter]:
    """A counter with a bar on standard error, which it removes at the end."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("cases {task.fields[failed]}"))
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield Counter(bar)
