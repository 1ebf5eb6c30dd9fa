"""`relay-harness`: judge a relay, or have a look at one."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import shutil
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.output import say
from harness.errors import InputError
from harness.faults.text import fault_names
from harness.judge.interrupts import interrupt
from harness.profiles import PROFILES
from harness.targets import RELAY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.judge.run import Plan

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        code: int = options.command(options)
    except InputError as error:
        print(f"relay-harness: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupted:
        print("relay-harness: interrupted", file=sys.stderr)
        return 128 + (interrupted.args[0] if interrupted.args else signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="relay-harness",
        description="A fake cluster that judges deploy relays by what its peers witnessed.",
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('deploy-relay-kit')}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_options in (
        _run_options,
        _report_options,
        _demo_options,
        _serve_options,
        _lint_options,
        _explain_options,
    ):
        add_options(commands)
    return parser


def _run_options(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run the conformance cases and print a verdict per requirement",
        description="Exit code: 0 all passed, 1 something did not, 2 usage.",
    )
    run.add_argument(
        "--relay",
        metavar="TARGET",
        default=os.environ.get(RELAY_VARIABLE) or "reference",
        help=f"the relay to judge (default: ${RELAY_VARIABLE}, or reference)",
    )
    run.add_argument("-n", metavar="N", default="auto", dest="workers", help="worker processes")
    run.add_argument("-k", metavar="EXPRESSION", default="", help="only cases whose name matches")
    run.add_argument(
        "--requirement",
        metavar="ID",
        action="append",
        default=[],
        dest="requirements",
        help="only the cases of this requirement, such as WIRE-03, or of a family, such as WIRE; "
        "may be repeated",
    )
    run.add_argument(
        "--case",
        metavar="FILE::NAME",
        action="append",
        default=[],
        dest="cases",
        help="only this case, as a failure names it; may be repeated",
    )
    run.add_argument(
        "--baseline",
        metavar="FILE",
        type=Path,
        help="failures that are known (TOML); they stay quiet until they pass or expire",
    )
    run.add_argument(
        "--write-baseline",
        metavar="FILE",
        type=Path,
        help="write a draft in which every failure of this run is known",
    )
    run.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        help="write result.json, junit.xml, index.html and badge.svg there",
    )
    run.set_defaults(command=_run)


def _report_options(commands: Commands) -> None:
    report = commands.add_parser(
        "report",
        help="make a page of one or more runs, a column for each",
        description="Reads what `run --report` wrote and compares it in one page, index.html; of a "
        "single run it writes result.json, junit.xml and badge.svg as well.",
    )
    report.add_argument("results", metavar="RESULT", type=Path, nargs="+", help="a result.json")
    report.add_argument("--to", metavar="DIR", type=Path, required=True, help="where to write")
    report.set_defaults(command=_report)


def _demo_options(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo", help="relay a sample component to a local 4-node TLS cluster, one node failing"
    )
    demo.set_defaults(command=_demo)


def _serve_options(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="hold a fake cluster up and print it as JSON, for relays outside of Python",
        description="Prints one line of JSON and serves until interrupted, or until standard input "
        "ends if it is a pipe; then prints what every node saw to standard error.",
        epilog="faults: " + "; ".join(fault_names()),
    )
    serve.add_argument("--nodes", metavar="N", type=int, default=3, help="how many (default: 3)")
    serve.add_argument(
        "--fault", metavar="NODE=FAULT", action="append", default=[],
        help="what a node does wrong, such as node-3=ResetAfter:65536; may be repeated",
    )  # fmt: skip
    serve.add_argument(
        "--profile", default="strict", choices=sorted(PROFILES), help="what kind of peers they are"
    )
    serve.add_argument(
        "--user", metavar="NAME", help="the one user of all nodes (default: one each)"
    )
    serve.add_argument(
        "--password-file", metavar="FILE", type=Path, help="holds the one password of all nodes"
    )
    serve.add_argument(
        "--replication", action="store_true", help="give every node a replication socket, too"
    )
    serve.set_defaults(command=_serve)


def _lint_options(commands: Commands) -> None:
    lint = commands.add_parser(
        "lint",
        help="check an adapter message by message, for the person who writes it",
        description="Drives an adapter through start, deploy and stop, and says what is wrong with "
        "it. Exit code: 0 nothing, 1 something, 2 usage.",
        usage="%(prog)s [-h] -- COMMAND [ARGUMENT ...]",
    )
    lint.add_argument("adapter", nargs="+", metavar="COMMAND", help="the command of `cmd:COMMAND`")
    lint.set_defaults(command=_lint)


def _explain_options(commands: Commands) -> None:
    explain = commands.add_parser(
        "explain", help="what a requirement asks, why, and which cases check it"
    )
    explain.add_argument(
        "requirement",
        metavar="REQUIREMENT",
        nargs="?",
        help="its id, such as WIRE-03, or its family, such as WIRE; all if left out",
    )
    explain.set_defaults(command=_explain)


def _run(options: argparse.Namespace) -> int:
    from harness.judge.run import Plan, run

    plan = Plan(
        relay=options.relay,
        workers=options.workers,
        expression=options.k,
        cases=list(dict.fromkeys(options.cases)),
        asked=list(dict.fromkeys(options.requirements)),
    )
    return run(
        dataclasses.replace(plan, identity=_identity(plan)),
        baseline=options.baseline,
        write_baseline=options.write_baseline,
        report=options.report,
    )


def _identity(plan: Plan) -> str:
    """Start the target once: one that does not start would fail every case."""
    from harness.judge.explain import cases_of
    from harness.targets import TargetBrokeError, open_target
    from harness.targets.deploy_command import no_way_to_mint

    for id_ in plan.asked:
        cases_of(id_)  # a name that nobody knows is said before a target is started
    target = open_target(plan.relay)
    try:
        identity, wrong = target.identity, no_way_to_mint(target.capabilities)
    except TargetBrokeError as error:
        raise InputError(str(error)) from error
    finally:
        target.close()
    if wrong:
        raise InputError(f"{identity}: {wrong}")
    return identity


def _report(options: argparse.Namespace) -> int:
    from harness.judge import report
    from harness.judge.results import read

    try:
        written = report.write(read(options.results), options.to)
    except OSError as error:
        raise InputError(f"--to {options.to}: {error.strerror}") from error
    say(map(str, written))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from harness.cli.serve import parse_faults, serve

    try:
        faults = parse_faults(options.fault, options.nodes)
        password = options.password_file and options.password_file.read_text().rstrip("\r\n")
    except OSError as error:
        raise InputError(f"--password-file {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    if password == "":
        raise InputError(f"--password-file {options.password_file}: it is empty")
    return serve(
        options.nodes,
        faults,
        options.profile,
        user=options.user,
        password=password,
        replication=options.replication,
    )


def _lint(options: argparse.Namespace) -> int:
    from harness.cli.lint import lint

    command: list[str] = options.adapter
    if len(command) == 1 and shutil.which(command[0]) is None:
        with contextlib.suppress(ValueError):
            command = shlex.split(command[0]) or command  # in one piece, as `run --relay` takes it
    program = command[0]
    if shutil.which(program) is None:
        raise InputError(f"lint: cannot run {program!r}: no such program")
    wrong = 0
    for is_right, text in lint(command):
        say([text])
        wrong += not is_right
    say([f"\n{wrong} of the checks went wrong." if wrong else "\nNothing is wrong."])
    return 1 if wrong else 0


def _explain(options: argparse.Namespace) -> int:
    from harness.judge.explain import explain, overview

    say(explain(options.requirement) if options.requirement else overview())
    return 0


def _demo(options: argparse.Namespace) -> int:
    from harness.cli.demo import demo

    del options
    return demo()


if __name__ == "__main__":
    sys.exit(main())
