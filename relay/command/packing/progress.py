"""The progress of packing: a bar on a terminal, else a line every few seconds."""

import contextlib
import time
from collections.abc import Iterator

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from deploy_relay_kit.relay.command.output import Output
from deploy_relay_kit.relay.command.packing.pack import OnProgress

_SECONDS = 5.0  # between two lines


@contextlib.contextmanager
def packing_progress(err: Output) -> Iterator[OnProgress]:
    """Yield what shows how many bytes of the files are packed."""
    if not err.is_animated:
        yield _lines(err)
        return
    columns = (
        TextColumn("packing"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err.console(), refresh_per_second=4, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(err: Output) -> OnProgress:
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS:
            last = now
            err.say(f"relay: packed {done:,} of {total:,} bytes")

    return show
