"""What the command line shows: bars on a terminal, plain lines elsewhere, then the records."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table
from rich.text import Text

from relay.answer import readable
from relay.events import Event
from relay.report import Record

Show = Callable[[Event], None]

_MARKUP = re.compile(r"<(style|script|title)\b.*?(</\1>|$)|<[^>]*(>|$)", re.DOTALL | re.IGNORECASE)
_STYLES = {"success": "green", "failed": "red"}
_RESTARTS = {"success": "restarted", "failed": "not restarted"}
_ROWS_LEFT = 3  # of a terminal, for whatever stands around the bars
_MANY = 10  # nodes, more than one takes in at a glance


class Output:
    """A standard stream, which may be closed, full or gone: its trouble stops no deploy.

    `trouble` says what went wrong first; whatever is written later goes nowhere.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.trouble: str | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # it may not be able to show all texts

    @property
    def is_terminal(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def say(self, text: str) -> None:
        """One line, at once: whoever follows a pipe sees it when it happens."""
        if self.stream is None:  # how Python shows that it was closed from the start
            self.trouble = os.strerror(errno.EBADF)
        if self.stream is None or self.trouble:
            return
        try:
            self.stream.write(f"{text}\n")
            self.stream.flush()
        except OSError as error:
            self.trouble = error.strerror
            # What is left in it is written once more when Python ends.
            with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())


@contextlib.contextmanager
def progress(nodes: Sequence[str], err: Output) -> Iterator[Show]:
    """A listener for the events of one deploy: bars where they can move, else lines."""
    console = Console(file=err.stream)
    if not err.is_terminal or console.is_dumb_terminal:
        yield lambda event: _line(event, err)
        return
    # Where the terminal is narrow the state is cut, and nothing else.
    whole = Column(no_wrap=True, overflow="ellipsis")
    columns = [
        TextColumn("{task.fields[node]}", markup=False, table_column=whole),
        BarColumn(bar_width=20),
        DownloadColumn(table_column=whole),
        TransferSpeedColumn(table_column=whole),
        TextColumn("{task.fields[state]}", markup=False, table_column=replace(whole, ratio=1)),
    ]
    # Drawn seldom: it takes its time from the uploads.
    bars = Progress(*columns, console=console, expand=True, refresh_per_second=4)
    tasks = {node: bars.add_task("", total=None, node=printable(node), state="") for node in nodes}
    are_many = len(nodes) > console.height - _ROWS_LEFT

    def show(event: Event) -> None:
        changes: dict[str, Any] = {}
        if event.name == "sent":
            changes = {"completed": event.data["bytes"], "total": event.data["total"]}
        if state := _state(event):
            changes["state"] = state
        if event.name == "settled":
            bars.stop_task(tasks[event.node])
            changes["visible"] = not are_many  # those that are still at it are of more interest
        elif event.name == "restarting":
            changes["visible"] = True
        bars.update(tasks[event.node], **changes)

    bars.start()
    try:
        yield show
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone
            bars.stop()


def json_line(event: Event, out: Output) -> None:
    """One event as one line of JSON; `node` and `event` are ours, whatever a peer says."""
    ours = {"node": event.node, "event": event.name}
    out.say(json.dumps({**ours, **event.data, **ours}))


def print_records(records: Iterable[Record], out: Output, *, restarts: bool = False) -> None:
    """A table on a terminal, tab-separated lines elsewhere, one per node."""
    table = Table(
        Column("node", overflow="fold"),
        Column("status", no_wrap=True),
        Column("answer", overflow="fold"),
    )
    for record in records:
        name, status = printable(record["node"]), record["status"]
        word, text = _RESTARTS[status] if restarts else status, _text(record, restart=restarts)
        if out.is_terminal:
            table.add_row(Text(name), Text(word, style=_STYLES[status]), Text(text))
        else:
            out.say(f"{name}\t{word}\t{text}")
    if out.is_terminal:
        console = Console(file=out.stream)
        with console.capture() as shown:
            console.print(table)
        out.say(shown.get().rstrip("\n"))


def _without_markup(text: str) -> str:
    """What a page of a proxy says, which may be cut in the middle of a tag."""
    return " ".join(_MARKUP.sub(" ", text).split()) if "<html" in text.lower() else text


def printable(text: str) -> str:
    """A peer's text without anything that steers a terminal or breaks a line."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _line(event: Event, err: Output) -> None:
    if event.name == "sent" and 0 < event.data["bytes"] < event.data["total"]:
        return  # lines tell where a step begins and ends, no more
    if (state := _state(event)) and event.name != "mint":
        err.say(f"{printable(event.node)}: {state}")


def _state(event: Event) -> str:  # noqa: PLR0911  one line per event
    """What a node is at, in words; nothing when the event does not change that."""
    match event.name, dict(event.data):
        case "mint", _:
            return "getting a token"
        case "sent", {"bytes": sent, "total": total}:
            return "waiting for the answer" if sent == total else f"sending {total:,} bytes"
        case "restarting", _:
            return "restarting"
        case "phase", {"phase": phase, "status": status}:
            return printable(f"phase {phase}: {status}")
        case "install", {"line": line}:
            return printable(f"| {line}")
        case "retry", {"reason": reason, "delay": delay, "attempt": attempt}:
            why = _without_markup(reason)
            return printable(f"attempt {attempt} follows in {delay:.1f} s: {why}")
        case "settled" | "restarted", {"record": dict(record)}:
            restart = event.name == "restarted"
            word = _RESTARTS[record["status"]] if restart else record["status"]
            return f"{word}: {_text(record, restart=restart)}".removesuffix(": ")
    return ""


def _text(record: Record, *, restart: bool = False) -> str:
    """The words for a person in a record: its reason, or the peer's message."""
    if record["status"] == "success":
        text = printable(_without_markup(str(record.get("message", ""))))
        if "error" in record:  # RES-14: a success all the same, and a person should see it
            text += (
                f" (the node also says: {printable(_without_markup(readable(record['error'])))})"
            )
        return text.strip()
    text = printable(_without_markup(record["reason"]))
    code = str(record.get("statusCode", ""))
    text += f" (HTTP {code})" if code not in text else ""
    if "hint" in record:  # it says more than a peer that understands nothing
        text = f"{record['hint']}: {text}"
    if "attempts" in record:
        text += f" ({record['attempts']} attempts)"
    if "uncertain" in record:
        text += f" (it may {'have restarted' if restart else 'be deployed'} all the same)"
    return text


def print_count(records: Sequence[Record], err: Output) -> None:
    """How many of many nodes succeeded, and which did not."""
    if len(records) > _MANY:
        failed = [printable(record["node"]) for record in records if record["status"] != "success"]
        which = f"; failed: {', '.join(failed)}" if failed else ""
        err.say(f"relay: {len(records) - len(failed)} of {len(records)} nodes succeeded{which}")
