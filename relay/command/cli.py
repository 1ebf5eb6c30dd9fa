"""`relay deploy`: files, nodes and credentials in; progress, records and an exit code out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sys
from typing import TYPE_CHECKING

from relay.command.display import Output, json_line, print_records, printable, progress
from relay.command.options import (
    credential_files,
    limits_in,
    mint_in,
    nodes_in,
    parser,
    request_in,
)
from relay.command.pack import staged
from relay.errors import InputError
from relay.fanout import Reach, deploy
from relay.report import Report
from relay.restarts import restart
from relay.retry import Retry
from relay.tls import Tls

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from relay.command.display import Show
    from relay.events import Event
    from relay.node import Node
    from relay.report import Record

_BAD_USAGE, _UNWRITTEN = 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; usage errors of argparse exit with 2."""
    arguments = parser().parse_args(argv)
    out, err = Output(sys.stdout), Output(sys.stderr)
    _use_all_descriptors()
    with _interrupts() as caught:
        try:
            code = _deploy(arguments, out, err)
        except InputError as error:
            err.say(f"relay: {printable(str(error))}")
            return _BAD_USAGE
        except KeyboardInterrupt:
            err.say("relay: interrupted; whatever was under way was aborted")
            return 128 + caught[-1]
    if out.trouble:
        err.say(f"relay: the records could not be written: {out.trouble}")
        return _UNWRITTEN
    return code


def _use_all_descriptors() -> None:
    """A node takes two at a time: its connection, and its own reading of the payload."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does; the last of what is yielded came last."""
    caught = [int(signal.SIGINT)]

    def interrupt(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        handler = signal.getsignal(signal.SIGINT)  # the event loop has its own
        (handler if callable(handler) else signal.default_int_handler)(number, frame)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, interrupt)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deploy(arguments: argparse.Namespace, out: Output, err: Output) -> int:
    nodes, request, mint = nodes_in(arguments), request_in(arguments), mint_in(arguments)
    reach: Reach = {
        "mint": mint,
        "tls": Tls(arguments.ca, arguments.cert, arguments.key),
        "limits": limits_in(arguments),
        "allow_http": arguments.allow_http,
    }
    so_far = {"settled": Report([]), "restarted": Report([])}
    whole: set[str] = set()  # nodes that were sent the whole payload
    try:
        with (
            staged(
                arguments.path,
                exclude=arguments.exclude,
                leave_out=credential_files(arguments),
                note=err.say,
            ) as payload,
            _listener(nodes, arguments, out, err) as show,
        ):

            def listen(event: Event) -> None:
                if isinstance(record := event.data.get("record"), dict):
                    so_far[event.name].records.append(record)
                if event.name == "sent" and event.data["bytes"] == event.data["total"]:
                    whole.add(event.node)
                show(event)

            reach["on_event"] = listen
            reports = asyncio.run(_run(nodes, request, payload, reach, arguments))
    except KeyboardInterrupt:
        told = so_far["settled"].records
        settled = {record["node"] for record in told}
        told += [_interrupted(node, whole) for node in nodes if node.name not in settled]
        _print(arguments, out, list(so_far.values()), interrupted=True)
        raise
    return 0 if _print(arguments, out, reports) else 1


def _interrupted(node: Node, whole: Collection[str]) -> Record:
    record: Record = {"node": node.name, "status": "failed", "reason": "interrupted"}
    return {**record, "uncertain": True} if node.name in whole else record


async def _run(
    nodes: list[Node],
    request: dict[str, object],
    payload: Path,
    reach: Reach,
    arguments: argparse.Namespace,
) -> list[Report]:
    """Deploy; then restart the nodes that took the package, if that is asked for."""
    deployed = await deploy(
        nodes,
        request,
        payload,
        retry=Retry(attempts=arguments.attempts),
        ask_for_events=not arguments.quiet,
        probe=arguments.probe,
        **reach,
    )
    took = {record["node"] for record in deployed.records if record["status"] == "success"}
    if not (arguments.restart and took):
        return [deployed]
    rolling = arguments.restart == "rolling"
    again = [node for node in nodes if node.name in took]
    return [deployed, await restart(again, rolling=rolling, **reach)]


@contextlib.contextmanager
def _listener(
    nodes: list[Node], arguments: argparse.Namespace, out: Output, err: Output
) -> Iterator[Show]:
    if arguments.events:
        yield lambda event: json_line(event, out)
    elif arguments.quiet:
        yield lambda _: None
    else:
        with progress([node.name for node in nodes], err) as show:
            yield show


def _print(
    arguments: argparse.Namespace, out: Output, reports: list[Report], *, interrupted: bool = False
) -> bool:
    """Print the records of a deploy and of a restart; whether all of them are successes."""
    succeeded = not interrupted and all(report.succeeded for report in reports)
    deployed, *restarted = (report.records for report in reports)
    if arguments.json:
        document: dict[str, object] = {"succeeded": succeeded, "records": deployed}
        document |= {"interrupted": True} if interrupted else {}
        document |= {"restarted": restarted[0]} if any(restarted) else {}
        out.say(json.dumps(document, indent=2))
    elif not arguments.events:
        print_records(deployed, out)
        for records in filter(None, restarted):
            print_records(records, out, {"success": "restarted", "failed": "not restarted"})
    return succeeded
