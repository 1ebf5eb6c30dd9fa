"""`relay-harness`: judge a relay, check an adapter, run a fake cluster."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from deploy_relay_kit.harness.cli.output import say
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.faults.text import fault_names, wrapper_names
from deploy_relay_kit.harness.judge.interrupts import interrupt
from deploy_relay_kit.harness.profiles import PROFILES
from deploy_relay_kit.harness.targets import RELAY_VARIABLE

Commands = argparse._SubParsersAction  # noqa: SLF001  argparse has no public name for it


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
        _schema_options,
    ):
        add_options(commands)
    return parser


# -- the options of each command -----------------------------------------------------------------


def _run_options(commands: Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser(
        "run",
        help="judge a relay: a verdict per requirement",
        description="Exit code: 0 a requirement was judged and none failed unexpectedly, "
        "1 one did, 2 usage.",
    )
    run.set_defaults(command=_run)
    run.add_argument(
        "--relay",
        metavar="TARGET",
        default=os.environ.get(RELAY_VARIABLE) or "reference",
        help=f"the relay to judge (default: ${RELAY_VARIABLE}, or reference)",
    )
    run.add_argument("-n", metavar="N", default="auto", dest="workers", help="worker processes")
    run.add_argument("-k", metavar="EXPRESSION", default="", help="only cases whose name matches")
    run.add_argument(
        "-v", "--verbose", action="store_true", help="print a line for each requirement"
    )
    run.add_argument(
        "--requirement", metavar="ID", action="append", default=[], dest="requirements",
        help="only the cases of this requirement, such as WIRE-03, or of a family, such as WIRE; "
        "may be repeated",
    )  # fmt: skip
    run.add_argument(
        "--case", metavar="FILE::NAME", action="append", default=[], dest="cases",
        help="only this case, as a failure names it; may be repeated",
    )  # fmt: skip
    run.add_argument(
        "--keep-going", action="store_true",
        help="run every case although a deploy to a healthy peer does not work",
    )  # fmt: skip
    run.add_argument(
        "--baseline", metavar="FILE", type=Path,
        help="known failures (TOML); they stay quiet until they pass or expire",
    )  # fmt: skip
    run.add_argument(
        "--write-baseline", metavar="FILE", type=Path,
        help="write a draft in which every failure of this run is known",
    )  # fmt: skip
    run.add_argument(
        "--report", metavar="DIR", type=Path,
        help="write result.json, junit.xml, index.html and badge.svg there",
    )  # fmt: skip


def _report_options(commands: Commands[argparse.ArgumentParser]) -> None:
    report = commands.add_parser(
        "report",
        help="make a page of one or more runs, a column for each",
        description="Reads what `run --report` wrote and compares it in one page, index.html. For "
        "a single run it also writes result.json, junit.xml and badge.svg.",
    )
    report.set_defaults(command=_report)
    report.add_argument("results", metavar="RESULT", type=Path, nargs="+", help="a result.json")
    report.add_argument("--to", metavar="DIR", type=Path, required=True, help="where to write")


def _demo_options(commands: Commands[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo", help="relay a sample component to a local 4-node TLS cluster with a failing node"
    )
    demo.set_defaults(command=_demo)


def _serve_options(commands: Commands[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="run a fake cluster and print it as JSON, for relays outside of Python",
        description="Prints one line of JSON and serves until it is interrupted, or until standard "
        "input ends if that is a pipe; then prints what every node saw to standard error.",
        epilog="faults: " + "; ".join([*fault_names(), *wrapper_names()]),
    )
    serve.set_defaults(command=_serve)
    serve.add_argument("--nodes", metavar="N", type=int, default=3, help="how many (default: 3)")
    serve.add_argument(
        "--fault", metavar="NODE=FAULT", action="append", default=[],
        help="how a node misbehaves, such as node-3=ResetAfter:65536; may be repeated",
    )  # fmt: skip
    serve.add_argument(
        "--profile", default="strict", choices=sorted(PROFILES), help="how healthy nodes answer"
    )
    serve.add_argument("--user", metavar="NAME", help="the user of all nodes (default: one each)")
    serve.add_argument(
        "--password-file", metavar="FILE", type=Path, help="holds the password of all nodes"
    )
    serve.add_argument(
        "--replication", action="store_true", help="give every node a replication socket, too"
    )
    serve.add_argument(
        "--nodes-file", metavar="FILE", type=Path,
        help="write a line NAME=URL for each node there, as `relay deploy --nodes` takes it",
    )  # fmt: skip
    serve.add_argument(
        "--admin", action="store_true",
        help="serve an endpoint on loopback that changes faults; the JSON has its URL and token",
    )  # fmt: skip


def _lint_options(commands: Commands[argparse.ArgumentParser]) -> None:
    lint = commands.add_parser(
        "lint",
        help="check an adapter message by message, for its author",
        description="Drives an adapter through start, deploy and stop, and prints what is wrong "
        "with it. Exit code: 0 nothing, 1 something, 2 usage.",
        usage="%(prog)s [-h] -- COMMAND [ARGUMENT ...]",
    )
    lint.set_defaults(command=_lint)
    lint.add_argument("adapter", nargs="+", metavar="COMMAND", help="the command of `cmd:COMMAND`")


def _explain_options(commands: Commands[argparse.ArgumentParser]) -> None:
    explain = commands.add_parser(
        "explain", help="what a requirement demands, why, and which cases check it"
    )
    explain.set_defaults(command=_explain)
    explain.add_argument(
        "requirement", metavar="REQUIREMENT", nargs="?",
        help="its id, such as WIRE-03, or its family, such as WIRE; all by default",
    )  # fmt: skip


def _schema_options(commands: Commands[argparse.ArgumentParser]) -> None:
    schema = commands.add_parser("schema", help="print a JSON Schema of the kit")
    schema.set_defaults(command=_schema)
    schema.add_argument(
        "document", choices=("adapter", "result"), help="adapter messages, or the result of a run"
    )


# -- the commands; each loads only what it needs, so that `--help` and errors are quick ----------


def _run(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.run import Output, run
    from deploy_relay_kit.harness.judge.run import Plan

    plan = Plan(
        relay=options.relay,
        workers=options.workers,
        expression=options.k,
        cases=list(dict.fromkeys(options.cases)),
        requirements=list(dict.fromkeys(options.requirements)),
    )
    output = Output(
        baseline=options.baseline,
        write_baseline=options.write_baseline,
        report=options.report,
        verbose=options.verbose,
        keep_going=options.keep_going,
    )
    return run(plan, output)


def _report(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.judge import report
    from deploy_relay_kit.harness.judge.report.result import read

    try:
        written = report.write(read(options.results), options.to)
    except OSError as error:
        raise InputError(f"--to {options.to}: {error.strerror}") from error
    say(map(str, written))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.serve import parse_faults, serve

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
        nodes_file=options.nodes_file,
        administered=options.admin,
    )


def _lint(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.lint import lint

    command: list[str] = options.adapter
    if len(command) == 1 and shutil.which(command[0]) is None:
        with contextlib.suppress(ValueError):
            command = shlex.split(command[0]) or command  # one string, as `run --relay` takes it
    if shutil.which(command[0]) is None:
        raise InputError(f"lint: cannot run {command[0]!r}: no such program")
    wrong = 0
    for is_right, text in lint(command):
        say([text])
        wrong += not is_right
    say([f"\n{wrong} checks failed." if wrong else "\nNothing is wrong."])
    return 1 if wrong else 0


def _explain(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.judge.explain import explain, overview

    say(explain(options.requirement) if options.requirement else overview())
    return 0


def _schema(options: argparse.Namespace) -> int:
    if options.document == "adapter":
        from deploy_relay_kit.harness.targets.schema import adapter_schema as schema
    else:
        from deploy_relay_kit.harness.judge.report.result import result_schema as schema

    say([json.dumps(schema(), indent=2)])
    return 0


def _demo(_: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.demo import demo

    return demo()


if __name__ == "__main__":
    sys.exit(main())
