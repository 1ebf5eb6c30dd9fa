"""`relay deploy`: files, nodes and credentials in; progress, records and an exit code out."""

import argparse
import json
import math
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from deploy_relay_kit.relay.command import credentials, deployments, options
from deploy_relay_kit.relay.command.display import (
    Listener,
    json_line,
    print_count,
    print_line,
    progress_listener,
)
from deploy_relay_kit.relay.command.interrupts import Interrupts
from deploy_relay_kit.relay.command.limits import limits_in
from deploy_relay_kit.relay.command.output import Output, printable, printable_line
from deploy_relay_kit.relay.command.packing.packed import OnProgress
from deploy_relay_kit.relay.command.packing.staging import Package, check_path, staged
from deploy_relay_kit.relay.command.progress import Progress
from deploy_relay_kit.relay.command.reporting.plan import lines_of, plan_of, probed
from deploy_relay_kit.relay.command.reporting.repeat import repeat_line
from deploy_relay_kit.relay.command.reporting.summary import Summary, log_file
from deploy_relay_kit.relay.command.serving import serve
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import FanOut, Reach, deploy
from deploy_relay_kit.relay.node import Mint, Node
from deploy_relay_kit.relay.report import Report
from deploy_relay_kit.relay.request import forwarded_fields
from deploy_relay_kit.relay.restarts import restart
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.threads import check_number
from deploy_relay_kit.relay.tls import Tls
from deploy_relay_kit.relay.token import GivenToken
from deploy_relay_kit.relay.via import deploy_via

_BAD_USAGE, _UNWRITTEN = 2, 3
_OWN_DESCRIPTORS = 16  # of Python, of the terminal, and for lookups of hosts
NO_MINT = GivenToken("none")
_DESCRIPTORS = (65_536, 10_240)  # what macOS accepts when it reports no limit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; usage errors of argparse exit with 2."""
    out, err = Output(sys.stdout), Output(sys.stderr)
    with Interrupts() as interrupts:
        try:
            arguments = options.parsed(argv)
            if arguments.verb in {"deployments", "deployment"}:
                return deployments.run(arguments, out, err, interrupts)
            if arguments.verb != "deploy":
                return serve.run(arguments, out, interrupts)
            arguments.argv = list(sys.argv[1:] if argv is None else argv)
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

    A node takes three: its connection, the payload, and the connection of its mint, which closes.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, *_DESCRIPTORS):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if limit == resource.RLIM_INFINITY else max(1, (limit - _OWN_DESCRIPTORS) // 3)


def _deploy(  # noqa: C901  the steps of the command, in their order
    arguments: argparse.Namespace, out: Output, err: Output, interrupts: Interrupts
) -> int:
    if arguments.settings.unnamed:
        err.say(f"relay: using the settings in ./{arguments.settings.unnamed}")
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
    limits = limits_in(arguments)
    reach: Reach = {
        "mint": _mint(arguments, err),
        "tls": Tls(arguments.ca, arguments.cert, arguments.key),
        "limits": limits,
        "allow_http": arguments.allow_http,
        "proxy": options.proxy_in(arguments),
    }
    # Find every mistake before a large directory is packed.
    forwarded_fields(request)
    Retry(arguments.attempts)
    check_number(arguments.threads)
    FanOut(nodes, **reach)
    restarts = bool(arguments.restart) and not arguments.via
    progress = Progress([node.name for node in nodes], restarts)
    is_silent = arguments.quiet or arguments.events
    with log_file(arguments.log_file) as log, _package(arguments, err, is_silent) as package:
        if arguments.dry_run:
            return _show_plan(nodes, request, package, reach, arguments, out, interrupts)
        summary = Summary(arguments, package)
        try:
            with _listener(nodes, arguments, out, err) as show:

                def listen(event: Event) -> None:
                    progress.listen(event)
                    if log is not None:
                        json_line(event, log)
                    show(event)

                reach["on_event"] = listen
                report = interrupts.run(_run(nodes, request, package.path, reach, arguments))
                progress.nodes = [record["node"] for record in report.records]
        except KeyboardInterrupt:
            for event in progress.interrupt():
                if arguments.events:
                    json_line(event, out)
            summary.show(progress.reports, out, interrupted=True)
            _say_how_to_repeat(arguments, progress, err)
            raise
        succeeded = summary.show(progress.reports, out)
        if out.error:  # the records may be readable there
            summary.show(progress.reports, err)
    if log is not None and log.error:
        err.say(f"relay: --log-file could not be written: {log.error}")
    _say_how_to_repeat(arguments, progress, err)
    if not arguments.quiet:
        print_count(progress.reports[0].records, err)
    return 0 if succeeded else 1


def _say_how_to_repeat(arguments: argparse.Namespace, progress: Progress, err: Output) -> None:
    failed = [record["node"] for record in progress.reports[0].failed]
    if not failed or arguments.quiet:
        return
    if arguments.via:  # the origin deploys to all of its nodes again
        err.say(f"relay: to repeat it: {repeat_line(arguments.argv)}")
    else:
        err.say(f"relay: to repeat it for the rest: {repeat_line(arguments.argv, failed)}")


def _mint(arguments: argparse.Namespace, err: Output) -> Mint:
    if arguments.dry_run and not arguments.probe:
        return NO_MINT  # nothing is asked, so no password is
    return credentials.mint_in(arguments, err.say)


def _package(
    arguments: argparse.Namespace,
    err: Output,
    is_silent: bool,  # noqa: FBT001
) -> AbstractContextManager[Package]:
    own = [*credentials.files_in(arguments), *([arguments.log_file] if arguments.log_file else [])]
    return staged(
        arguments.path,
        exclude=arguments.exclude,
        leave_out=own,
        warn=err.say,
        report=(lambda _: None) if is_silent else err.say,
        progress=nullcontext(lambda *_: None) if is_silent else _packing_progress(err),
    )


@contextmanager
def _packing_progress(err: Output) -> Iterator[OnProgress]:
    # It is entered only for a directory: importing it takes longer than a small deploy.
    from deploy_relay_kit.relay.command.packing.progress import packing_progress  # noqa: PLC0415

    with packing_progress(err) as show:
        yield show


def _show_plan(  # noqa: PLR0917
    nodes: list[Node],
    request: dict[str, object],
    package: Package,
    reach: Reach,
    arguments: argparse.Namespace,
    out: Output,
    interrupts: Interrupts,
) -> int:
    plan = plan_of(
        nodes, request, package.members(), arguments.settings.sources, arguments.allow_http
    )
    failed = False
    if arguments.probe:
        records = interrupts.run(probed(nodes, reach))
        failed = any(record["status"] != "success" for record in records)
        for node, record in zip(plan["nodes"], records, strict=True):
            node |= {name: record[name] for name in ("version", "reason") if name in record}
    if arguments.json:
        out.say(json.dumps(plan, indent=2))
    else:
        for line in lines_of(plan):
            out.say(printable_line(line))
    out.check("plan")
    out.error = None
    return 1 if failed else 0


async def _run(
    nodes: list[Node],
    request: dict[str, object],
    payload: Path,
    reach: Reach,
    arguments: argparse.Namespace,
) -> Report:
    """Deploy; then restart the nodes that took the package, if asked to."""
    retry, asks = Retry(arguments.attempts), not arguments.quiet
    if arguments.via:
        (origin,) = nodes
        return await deploy_via(origin, request, payload, retry=retry, ask_for_events=asks, **reach)
    deployed = await deploy(
        nodes,
        request,
        payload,
        retry=retry,
        ask_for_events=asks,
        probe=arguments.probe,
        legacy=arguments.legacy,
        threads=arguments.threads,
        **reach,
    )
    took = {record["node"] for record in deployed.records if record["status"] == "success"}
    if arguments.restart and took:
        again = [node for node in nodes if node.name in took]
        await restart(again, rolling=arguments.restart == "rolling", **reach)
    return deployed


def _listener(
    nodes: list[Node], arguments: argparse.Namespace, out: Output, err: Output
) -> AbstractContextManager[Listener]:
    if arguments.events:
        return nullcontext(lambda event: json_line(event, out))
    if arguments.quiet:
        return nullcontext(lambda _: None)
    if arguments.verbose:
        return nullcontext(lambda event: print_line(event, err))
    return progress_listener([node.name for node in nodes], err)
