"""What the command line shows: bars on a terminal, plain lines elsewhere, then the records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.events import Event
    from relay.report import Record, Report

_STYLES = {"success": "green", "failed": "red"}


class Display(Protocol):
    """A context manager that shows the events of one deploy as they come."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...
    def show(self, event: Event) -> None: ...


def display_for(nodes: Sequence[str], stream: TextIO) -> Display:
    """Bars where they can move, lines where they cannot."""
    return Bars(nodes, stream) if stream.isatty() else Lines(stream)


class Lines:
    """One line per step of each node."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._uploading: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, event: Event) -> None:
        node = printable(event.node)
        if event.name == "sent" and event.data["bytes"] == 0:
            self._uploading[event.node] = time.monotonic()
            say(f"{node}: sending {event.data['total']:,} bytes", self._stream)
        elif event.name == "sent" and event.data["bytes"] == event.data["total"]:
            took = time.monotonic() - self._uploading[event.node]
            say(f"{node}: sent in {took:.1f} s, waiting for the answer", self._stream)
        elif event.name == "settled":
            say(f"{node}: {_status(_record(event))}", self._stream)


class Bars:
    """One bar per node, with its rate, and at the end its outcome."""

    def __init__(self, nodes: Sequence[str], stream: TextIO) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[node]}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=Console(file=stream),
        )
        self._tasks = {
            node: self._progress.add_task("", total=None, node=printable(node), state="")
            for node in nodes
        }

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        task = self._tasks[event.node]
        if event.name == "mint":
            self._progress.update(task, state="getting a token")
        elif event.name == "sent":
            sent, total = float(str(event.data["bytes"])), float(str(event.data["total"]))
            state = "waiting for the answer" if sent == total else "sending"
            self._progress.update(task, completed=sent, total=total, state=state)
        elif event.name == "settled":
            self._progress.update(task, state=str(_record(event)["status"]))
            self._progress.stop_task(task)


def print_records(report: Report, stream: TextIO) -> None:
    """A table on a terminal, tab-separated lines elsewhere, one per node."""
    if not stream.isatty():
        for record in report.records:
            name = printable(str(record["node"]))
            say(f"{name}\t{record['status']}\t{_text(record)}", stream)
        return
    table = Table("node", "status", "answer")
    for record in report.records:
        status = str(record["status"])
        table.add_row(
            Text(printable(str(record["node"]))),
            Text(status, style=_STYLES[status]),
            Text(_text(record)),
        )
    Console(file=stream).print(table)


def say(text: str, stream: TextIO) -> None:
    """One line, at once: whoever follows a pipe sees it when it happens."""
    stream.write(f"{text}\n")
    stream.flush()


def printable(text: str) -> str:
    """A peer's text without anything that steers a terminal or breaks a line."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _record(event: Event) -> Record:
    record = event.data["record"]
    assert isinstance(record, dict)
    return record


def _status(record: Mapping[str, object]) -> str:
    return f"{record['status']}: {_text(record)}" if _text(record) else str(record["status"])


def _text(record: Mapping[str, object]) -> str:
    """The words for a person in a record: its reason, or the peer's message."""
    key = "reason" if record["status"] == "failed" else "message"
    text = printable(str(record.get(key, "")))
    if record.get("uncertain"):
        text += " (the whole payload was sent: it may be deployed all the same)"
    return text
