"""The progress of packing: a bar on a terminal, else a line every few seconds."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from deploy_relay_kit.relay.command.output import Output
from deploy_relay_kit.relay.command.packing.packed import OnProgress
from deploy_relay_kit.relay.command.reporting.terminal import is_animated, screen

_WIDE = 80  # columns; a narrower terminal gets no bar
_SOON = 0.5  # seconds; a small directory needs no bar
_SECONDS = 5.0  # between two lines


@contextlib.contextmanager
def packing_progress(err: Output) -> Iterator[OnProgress]:
    """Yield what shows how many bytes of the files are packed."""
    if not is_animated(err):
        yield _lines(err)
        return
    bar, began = _Bar(), time.monotonic()
    with screen(bar, err) as shown:

        def show(done: int, total: int) -> None:
            bar.update(done, total)
            if not shown.is_started and time.monotonic() - began > _SOON:
                shown.start()

        yield show


class _Bar:
    """What is packed, for a terminal of any width."""

    def __init__(self) -> None:
        columns = (
            TextColumn("packing"),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, auto_refresh=False)
        self._task = self._progress.add_task("", total=None)

    def update(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= _WIDE:
            yield self._progress
        else:
            yield Text(f"packing {self._progress.tasks[0].percentage:.0f}%", no_wrap=True)


def _lines(err: Output) -> OnProgress:
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS:
            last = now
            err.say(f"relay: packed {done:,} of {total:,} bytes")

    return show
