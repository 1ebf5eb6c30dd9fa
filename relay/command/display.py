"""The output of the command line: progress as bars or lines, then the records."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from deploy_relay_kit.relay.answer import readable
from deploy_relay_kit.relay.command.output import Output, printable
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.report import Record

Listener = Callable[[Event], None]

_MARKUP = re.compile(r"<(style|script|title)\b.*?(</\1>|$)|<[^>]*(>|$)", re.DOTALL | re.IGNORECASE)
_RESTARTS = {"success": "restarted", "failed": "not restarted"}
_READ, _LONGEST = 20_000, 2_000  # characters of a text
_SECONDS = 10.0  # between two lines about all nodes, where there is no screen
_MANY = 10  # more nodes than this are also counted


@contextlib.contextmanager
def progress_listener(nodes: Sequence[str], err: Output) -> Iterator[Listener]:
    """A listener that shows the events of a deploy: as a screen on a terminal, else as lines.

    At the end, a line says how many nodes are done, in what time and with how many bytes.
    """
    # The modules with bars and tables are imported where they show something: see `terminal`.
    from deploy_relay_kit.relay.command.reporting.board import Board  # noqa: PLC0415
    from deploy_relay_kit.relay.command.reporting.terminal import (  # noqa: PLC0415
        is_animated,
        screen,
    )

    board, last = Board(nodes), time.monotonic()

    def show(event: Event) -> None:
        nonlocal last
        board.listen(event, _state(event))
        print_line(event, err)
        if time.monotonic() - last > _SECONDS:
            last = time.monotonic()
            err.say(f"relay: {board.summary()}")

    try:
        if is_animated(err):
            with screen(board, err) as shown:
                shown.start()
                yield lambda event: board.listen(event, _state(event))
        else:
            yield show
    finally:
        err.say(f"relay: {board.summary()}")


def json_line(event: Event, out: Output) -> None:
    """One event as one line of JSON; a peer's data cannot replace `node` and `event`."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    ours = {"node": event.node, "event": event.name, "time": now}
    out.say(json.dumps({**ours, **event.data, **ours}))


def print_records(records: Iterable[Record], out: Output, *, restarts: bool = False) -> None:
    """A table on a terminal, tab-separated lines elsewhere, one per node."""
    rows = [
        (
            printable(record["node"]),
            record["status"],
            _RESTARTS[record["status"]] if restarts else record["status"],
            _text(record, restart=restarts),
        )
        for record in records
    ]
    if out.is_terminal:
        from deploy_relay_kit.relay.command.reporting.terminal import print_rows  # noqa: PLC0415

        print_rows(rows, out)
        return
    for name, _, word, text in rows:
        out.say(f"{name}\t{word}\t{text}")


def _shown(text: str) -> str:
    """A peer's text in one line: an HTML page without its tags, and nothing too long to read."""
    begin = text[:_READ]
    if "<html" in begin.lower():  # it may be cut inside a tag
        begin = " ".join(_MARKUP.sub(" ", begin).split())
    if len(text) <= _READ and len(begin) <= _LONGEST:
        return printable(begin)
    return f"{printable(begin[:_LONGEST])}… (of {len(text):,} characters; --json has all)"


def print_line(event: Event, err: Output) -> None:
    """What happened as a line with the time of day, if it is worth one."""
    if event.name == "sent" and 0 < event.data["bytes"] < event.data["total"]:
        return  # only the beginning and the end of an upload get a line
    if (state := _state(event)) and event.name != "mint":
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        err.say(f"{now} {printable(event.node)}: {state}")


def _state(event: Event) -> str:  # noqa: PLR0911  one line per event
    """The state of a node after an event, as text; empty if the state is unchanged."""
    match event.name, dict(event.data):
        case "mint", _:
            return "getting a token"
        case "sent", {"bytes": sent, "total": total}:
            return "waiting for the answer" if sent == total else f"sending {total:,} bytes"
        case "restarting", _:
            return "restarting"
        case "phase", {"phase": phase, "status": status}:
            return _shown(f"phase {phase}: {status}")
        case "install", {"line": line}:
            return _shown(f"| {line}")
        case "no_events", {"reason": reason}:
            return f"no progress from the node: {reason}"
        case "legacy", {"version": version}:
            return printable(f"no progress from the node, which runs version {version}")
        case "retry", {"reason": reason, "delay": delay, "attempt": attempt}:
            return f"attempt {attempt} in {delay:.1f} s: {_shown(reason)}"
        case "settled" | "restarted", {"record": dict(record)}:
            restart = event.name == "restarted"
            word = _RESTARTS[record["status"]] if restart else record["status"]
            return f"{word}: {_text(record, restart=restart)}".removesuffix(": ")
    return ""


def _text(record: Record, *, restart: bool = False) -> str:
    """A record for people: its reason, or the peer's message."""
    if record["status"] == "success":
        text = _shown(str(record.get("message", "")))
        if "error" in record:  # RES-14: it is a success, but people should see the error
            error = _shown(readable(record["error"]))
            text += f" (the node also reports: {error})"
        return text.strip()
    text = _shown(record["reason"])
    code = str(record.get("statusCode", ""))
    text += f" (HTTP {code})" if code not in text else ""
    if "hint" in record:  # it explains the peer's text
        text = f"{record['hint']}: {text}"
    if "attempts" in record:
        text += f" ({record['attempts']} attempts)"
    if "uncertain" in record:
        text += f" (it may have {'restarted' if restart else 'deployed'} anyway)"
    return text


def print_count(records: Sequence[Record], err: Output) -> None:
    """With many nodes: how many succeeded, and which failed."""
    if len(records) > _MANY:
        failed = [printable(record["node"]) for record in records if record["status"] != "success"]
        which = f"; failed: {', '.join(failed)}" if failed else ""
        err.say(f"relay: {len(records) - len(failed)} of {len(records)} nodes succeeded{which}")
