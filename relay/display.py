"""What the command line shows: bars on a terminal, plain lines elsewhere, then the records."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relay.events import Event
    from relay.report import Record

    Show = Callable[[Event], None]

_STYLES = {"success": "green", "failed": "red"}


@contextlib.contextmanager
def progress(nodes: Sequence[str], stream: TextIO) -> Iterator[Show]:
    """A listener for the events of one deploy: bars where they can move, else lines."""
    if not stream.isatty():
        yield lambda event: _line(event, stream)
        return
    columns = [
        TextColumn("{task.fields[node]}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    ]
    with Progress(*columns, console=Console(file=stream)) as bars:
        tasks = {
            node: bars.add_task("", total=None, node=printable(node), state="") for node in nodes
        }

        def show(event: Event) -> None:
            changes: dict[str, Any] = {}
            if event.name == "sent":
                changes = {"completed": event.data["bytes"], "total": event.data["total"]}
            if state := _state(event):
                changes["state"] = state
            bars.update(tasks[event.node], **changes)
            if event.name == "settled":
                bars.stop_task(tasks[event.node])

        yield show


def json_line(event: Event, stream: TextIO) -> None:
    """One event as one line of JSON; `node` and `event` are ours, whatever a peer says."""
    ours = {"node": event.node, "event": event.name}
    say(json.dumps({**ours, **event.data, **ours}), stream)


def print_records(records: Iterable[Record], stream: TextIO) -> None:
    """A table on a terminal, tab-separated lines elsewhere, one per node."""
    table = Table("node", "status", "answer")
    for record in records:
        name, status, text = printable(str(record["node"])), str(record["status"]), _text(record)
        if stream.isatty():
            table.add_row(Text(name), Text(status, style=_STYLES[status]), Text(text))
        else:
            say(f"{name}\t{status}\t{text}", stream)
    if stream.isatty():
        Console(file=stream).print(table)


def say(text: str, stream: TextIO) -> None:
    """One line, at once: whoever follows a pipe sees it when it happens."""
    stream.write(f"{text}\n")
    stream.flush()


def printable(text: str) -> str:
    """A peer's text without anything that steers a terminal or breaks a line."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _line(event: Event, stream: TextIO) -> None:
    if event.name == "sent" and 0 < int(str(event.data["bytes"])) < int(str(event.data["total"])):
        return  # lines tell where a step begins and ends, no more
    if (state := _state(event)) and event.name != "mint":
        say(f"{printable(event.node)}: {state}", stream)


def _state(event: Event) -> str:  # noqa: PLR0911  one line per event
    """What a node is at, in words; nothing when the event does not change that."""
    match event.name, dict(event.data):
        case "mint", _:
            return "getting a token"
        case "sent", {"bytes": sent, "total": total}:
            return "waiting for the answer" if sent == total else f"sending {total:,} bytes"
        case "phase", {"phase": phase, "status": status}:
            return printable(f"{phase}: {status}")
        case "install", {"line": line}:
            return printable(f"| {line}")
        case "retry", {"reason": reason, "delay": delay}:
            return printable(f"trying again in {delay:.1f} s: {reason}")
        case "settled" | "restarted", {"record": dict(record)}:
            return f"{record['status']}: {_text(record)}".removesuffix(": ")
    return ""


def _text(record: Mapping[str, object]) -> str:
    """The words for a person in a record: its reason, or the peer's message."""
    key = "reason" if record["status"] == "failed" else "message"
    text = printable(str(record.get(key, "")))
    if record.get("uncertain"):
        text += " (the whole payload was sent: it may be deployed all the same)"
    return text
