"""`relay deploy`: files, nodes and credentials in; progress, records and an exit code out."""

import argparse
import json
import math
import resource
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from deploy_relay_kit.relay.command import credentials, options
from deploy_relay_kit.relay.command.display import (
    Listener,
    json_line,
    print_count,
    print_records,
    progress_listener,
)
from deploy_relay_kit.relay.command.interrupts import Interrupts
from deploy_relay_kit.relay.command.output import Output, printable
from deploy_relay_kit.relay.command.packing.progress import packing_progress
from deploy_relay_kit.relay.command.packing.staging import check_path, staged
from deploy_relay_kit.relay.command.progress import Progress
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import FanOut, Reach, deploy
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.report import Report
from deploy_relay_kit.relay.request import forwarded_fields
from deploy_relay_kit.relay.restarts import restart
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.tls import Tls

_BAD_USAGE, _UNWRITTEN = 2, 3
_OWN_DESCRIPTORS = 16  # of Python, of the terminal, and for lookups of hosts
_DESCRIPTORS = (65_536, 10_240)  # what macOS accepts when it reports no limit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; usage errors of argparse exit with 2."""
    out, err = Output(sys.stdout), Output(sys.stderr)
    with Interrupts() as interrupts:
        try:
            arguments = options.parsed(argv)
            code = _deploy(arguments, out, err, interrupts)
        except InputError as error:
            err.say(f"relay: {printable(str(error))}")
            return _BAD_USAGE
        except KeyboardInterrupt:
            err.say("relay: interrupted; unfinished work was aborted")
            return 128 + interrupts.caught[0]
    if out.error:
        err.say(f"relay: the records could not be written: {out.error}")
        return _UNWRITTEN
    return code


def _most_at_once() -> float:
    """How many nodes there are file descriptors for, after raising the limit as far as possible.

    A node takes two: one for its connection and one for the payload.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, *_DESCRIPTORS):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else max(1, (limit - _OWN_DESCRIPTORS) // 2)


def _deploy(arguments: argparse.Namespace, out: Output, err: Output, interrupts: Interrupts) -> int:
    if check_path(arguments.path) and arguments.exclude:
        raise InputError(
            f"--exclude {arguments.exclude[0]!r} needs a directory; "
            f"{str(arguments.path)!r} is sent as it is"
        )
    nodes, request = options.nodes_in(arguments), options.request_in(arguments)
    most = _most_at_once()
    if arguments.concurrency is None and len(nodes) > most:
        err.say(f"relay: only {most} nodes at once: too few file descriptors (ulimit -n)")
        arguments.concurrency = most
    reach: Reach = {
        "mint": credentials.mint_in(arguments, err.say),
        "tls": Tls(arguments.ca, arguments.cert, arguments.key),
        "limits": options.limits_in(arguments),
        "allow_http": arguments.allow_http,
        "proxy": options.proxy_in(arguments),
    }
    # Find every mistake before a large directory is packed.
    forwarded_fields(request)
    Retry(arguments.attempts)
    FanOut(nodes, **reach)
    is_silent = arguments.quiet or arguments.events
    progress = Progress([node.name for node in nodes], bool(arguments.restart))
    try:
        with (
            staged(
                arguments.path,
                exclude=arguments.exclude,
                leave_out=credentials.files_in(arguments),
                warn=err.say,
                report=(lambda _: None) if is_silent else err.say,
                progress=nullcontext(lambda *_: None) if is_silent else packing_progress(err),
            ) as package,
            _listener(nodes, arguments, out, err) as show,
        ):

            def listen(event: Event) -> None:
                progress.listen(event)
                show(event)

            reach["on_event"] = listen
            interrupts.run(_run(nodes, request, package.path, reach, arguments))
    except KeyboardInterrupt:
        for event in progress.interrupt():
            if arguments.events:
                json_line(event, out)
        _print(arguments, progress.reports, out, interrupted=True)
        raise
    succeeded = _print(arguments, progress.reports, out)
    if out.error:  # the records may be readable there
        _print(arguments, progress.reports, err)
    if not arguments.quiet:
        print_count(progress.reports[0].records, err)
    return 0 if succeeded else 1


async def _run(
    nodes: list[Node],
    request: dict[str, object],
    payload: Path,
    reach: Reach,
    arguments: argparse.Namespace,
) -> None:
    """Deploy; then restart the nodes that took the package, if asked to."""
    deployed = await deploy(
        nodes,
        request,
        payload,
        retry=Retry(arguments.attempts),
        ask_for_events=not arguments.quiet,
        probe=arguments.probe,
        legacy=arguments.legacy,
        **reach,
    )
    took = {record["node"] for record in deployed.records if record["status"] == "success"}
    if arguments.restart and took:
        again = [node for node in nodes if node.name in took]
        await restart(again, rolling=arguments.restart == "rolling", **reach)


def _listener(
    nodes: list[Node], arguments: argparse.Namespace, out: Output, err: Output
) -> AbstractContextManager[Listener]:
    if arguments.events:
        return nullcontext(lambda event: json_line(event, out))
    if arguments.quiet:
        return nullcontext(lambda _: None)
    return progress_listener([node.name for node in nodes], err)


def _print(
    arguments: argparse.Namespace,
    reports: Sequence[Report],
    out: Output,
    *,
    interrupted: bool = False,
) -> bool:
    """Print the records of the deploy and of the restarts; whether all are successes."""
    succeeded = not interrupted and all(report.succeeded for report in reports)
    deployed, *restarted = (report.records for report in reports)
    if arguments.json:
        document: dict[str, object] = {"succeeded": succeeded, "records": deployed}
        document |= {"interrupted": True} if interrupted else {}
        document |= {"restarted": restarted[0]} if restarted else {}
        out.say(json.dumps(document, indent=2))
    elif not arguments.events:
        print_records(deployed, out)
        for records in restarted:
            print_records(records, out, restarts=True)
    return succeeded
