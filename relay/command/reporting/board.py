"""The screen of a running deploy: a line about all nodes, and a row for each that matters."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console, ConsoleOptions, RenderResult
from rich.filesize import decimal
from rich.progress import Progress, Task
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from deploy_relay_kit.relay.command.output import printable
from deploy_relay_kit.relay.events import Event

_WIDE = 80  # columns; a narrower terminal gets no bars
_RANKS = ("failed", "active", "waiting", "done")  # what is shown first where not all have a row
_STYLES = {"failed": "red", "done": "green"}


@dataclass
class Row:
    """What is known of a node; `rank` is one of `_RANKS`."""

    name: str
    rank: str = "waiting"
    state: str = "waiting"
    sent: int = 0
    total: int | None = None

    @property
    def progress(self) -> str:
        return "" if not self.total else f"{100 * self.sent // self.total}%"


class Board:
    """Follows the events of a deploy, and draws itself for a terminal of any size."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._rows = {node: Row(printable(node)) for node in nodes}
        meter = Progress(auto_refresh=False)  # never shown: it has the rate and the elapsed time
        self._meter, self._all = meter, meter.add_task("", total=None)

    def listen(self, event: Event, state: str) -> None:
        """Take in an event, with its text for people; empty if that does not change."""
        # An origin names its nodes as it reaches them.
        row = self._rows.setdefault(event.node, Row(printable(event.node)))
        row.state = state or row.state
        if event.name in {"settled", "restarted"}:
            row.rank = "done" if event.data["record"]["status"] == "success" else "failed"
            row.total = row.sent  # nothing more is sent to it
        else:
            row.rank = "active"
        if event.name == "sent":
            row.sent, row.total = event.data["bytes"], event.data["total"]
        self._meter.update(self._all, completed=sum(it.sent for it in self._rows.values()))

    def summary(self, width: int = 1000) -> str:
        """All nodes in a line: what fits into so many columns, the most important first."""
        line = ""
        for part in self._parts():
            longer = f"{line}, {part}" if line else part
            if len(longer) > width and line:
                break
            line = longer
        return line

    def _parts(self) -> Iterator[str]:
        task, rows = self._task, [*self._rows.values()]
        yield f"{sum(it.rank in {'done', 'failed'} for it in rows)} of {len(rows)} done"
        if failed := sum(it.rank == "failed" for it in rows):
            yield f"{failed} failed"
        yield _duration(task.elapsed or 0)
        # Every node gets the same package; some have not begun.
        longest = max((it.total or 0 for it in rows), default=0)
        total = sum(longest if it.total is None else it.total for it in rows)
        sent = int(task.completed)
        if task.speed and total > sent:
            yield f"{_duration((total - sent) / task.speed)} left"
        if sent:
            yield f"{decimal(sent)} of {decimal(total)}"
            yield f"{decimal(int(sent / max(task.elapsed or 0, 0.001)))}/s"

    @property
    def _task(self) -> Task:
        return self._meter.tasks[0]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, rows = options.max_width, [*self._rows.values()]
        space = (options.height or console.height) - 1  # the first line is the summary
        yield Text(self.summary(width), no_wrap=True, overflow="ellipsis")
        hidden: list[Row] = []
        if len(rows) > space:
            rows.sort(key=lambda it: _RANKS.index(it.rank))
            rows, hidden = rows[: space - 1], rows[space - 1 :]
        yield _table(rows, width)
        if hidden:
            counts = [(rank, sum(it.rank == rank for it in hidden)) for rank in _RANKS]
            kinds = ", ".join(f"{count} {rank}" for rank, count in counts if count)
            yield Text(f"and {len(hidden)} more: {kinds}", no_wrap=True, overflow="ellipsis")


def _table(rows: Iterable[Row], width: int) -> Table:
    """Nothing wraps, so that each node has one row; only names and states are cut."""
    cut = {"no_wrap": True, "overflow": "ellipsis"}
    name = Column(max_width=max(8, width // 4), **cut)  # type: ignore[arg-type]
    state = Column(ratio=1, **cut)  # type: ignore[arg-type]
    if width < _WIDE:
        table = Table.grid(name, Column(no_wrap=True), state, padding=(0, 1), expand=True)
        for row in rows:
            settled = row.rank in _STYLES
            share = "" if settled else row.progress
            table.add_row(Text(row.name), share, Text(row.state, _STYLES.get(row.rank, "")))
        return table
    columns = (name, Column(width=20), Column(no_wrap=True, justify="right"), state)
    table = Table.grid(*columns, padding=(0, 1), expand=True)
    for row in rows:
        bar = ProgressBar(total=row.total or 1, completed=row.sent if row.total else 0, width=20)
        size = f"{decimal(row.sent)} of {decimal(row.total)}" if row.total else ""
        table.add_row(Text(row.name), bar, size, Text(row.state, _STYLES.get(row.rank, "")))
    return table


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
