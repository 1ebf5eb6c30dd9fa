"""`relay-harness`: judge a relay, check an adapter, run a fake cluster."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy_relay_kit.harness.cli.options import Command, parser
from deploy_relay_kit.harness.cli.output import say
from deploy_relay_kit.harness.errors import InputError, read_text
from deploy_relay_kit.harness.judge.interrupts import interrupt
from deploy_relay_kit.harness.witness.printable import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # its encoding may lack characters
        everything, words = parser(_COMMANDS), list(sys.argv[1:] if argv is None else argv)
        everything.check_words(words)
        options, unknown = everything.parse_known_args(words)
        if unknown:
            everything.error_of(unknown[0], words[0])
        code: int = options.command(options)
    except InputError as error:
        print(printable(f"relay-harness: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupted:
        print("relay-harness: interrupted", file=sys.stderr)
        return 128 + (interrupted.args[0] if interrupted.args else signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


# -- the commands; each loads only what it needs, so that `--help` and errors are quick ----------


def _check_directories() -> None:
    """Refuse a directory whose name no message to a relay or a worker can hold.

    Raises:
        InputError: the working or the temporary directory has such a name, or is gone.
    """
    for what, find in (("working", os.getcwd), ("temporary", tempfile.gettempdir)):
        try:
            name = find()
            name.encode()
        except OSError as error:
            raise InputError(f"the {what} directory: {error.strerror}; use another one") from error
        except UnicodeEncodeError:
            remedy = "use another one, or set PYTHONUTF8=1 if its name is UTF-8"
            raise InputError(f"the {what} directory {name!r} is not text here; {remedy}") from None


def _run(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.run import Output, run
    from deploy_relay_kit.harness.judge.run import Plan
    from deploy_relay_kit.harness.targets import RELAY_VARIABLE

    _check_directories()
    plan = Plan(
        relay=options.relay or os.environ.get(RELAY_VARIABLE) or "reference",
        workers=options.workers,
        expression=options.k,
        cases=list(dict.fromkeys(options.cases)),
        requirements=list(dict.fromkeys(options.requirements)),
    )
    output = Output(
        baseline=options.baseline,
        write_baseline=options.write_baseline,
        report=options.report,
        bundle=options.bundle,
        verbose=options.verbose,
        keep_going=options.keep_going,
    )
    return run(plan, output)


def _replay(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.replay import replay

    _check_directories()
    return replay(options.bundle, options.relay)


def _report(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.judge import report
    from deploy_relay_kit.harness.judge.report.result import read

    try:
        written = report.write(read(options.results), options.to)
    except OSError as error:
        raise InputError(f"--to {options.to}: {error.strerror}") from error
    say(map(str, written))
    return 0


def _annotate(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.judge.report import annotations
    from deploy_relay_kit.harness.judge.report.result import read

    [result] = read([options.result])
    # Not by `say`, which escapes commands: a relay's words in these are escaped already.
    sys.stdout.write("".join(f"{it}\n" for it in annotations.render(result, options.format)))
    return 0


def _serve(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.serve import parse_faults, serve

    try:
        faults = parse_faults(options.fault, options.nodes)
    except ValueError as error:
        raise InputError(str(error)) from error
    try:
        password = options.password_file and read_text(options.password_file).rstrip("\r\n")
    except InputError as error:
        raise InputError(f"--password-file {error}; give a text file") from error
    if password == "":
        raise InputError(f"--password-file {options.password_file}: it is empty")
    if options.nodes_file and options.nodes_file == options.ca_file:
        raise InputError(f"--nodes-file and --ca-file are both {options.ca_file}; name two files")
    return serve(
        options.nodes,
        faults,
        options.profile,
        user=options.user,
        password=password,
        replication=options.replication,
        nodes_file=options.nodes_file,
        ca_file=options.ca_file,
        administered=options.admin,
    )


def _lint(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.cli.lint import lint

    _check_directories()
    command: list[str] = options.adapter
    if len(command) == 1 and shutil.which(command[0]) is None:
        with contextlib.suppress(ValueError):
            command = shlex.split(command[0]) or command  # one string, as `run --relay` takes it
    if shutil.which(command[0]) is None:
        why = "it is not executable" if Path(command[0]).is_file() else "no such program"
        raise InputError(f"lint: cannot run {command[0]!r}: {why}")
    wrong = 0
    for is_right, text in lint(command):
        say([text])
        wrong += not is_right
    failed = f"{wrong} check{'s' * (wrong > 1)} failed."
    say([f"\n{failed}" if wrong else "\nNothing is wrong."])
    return 1 if wrong else 0


def _explain(options: argparse.Namespace) -> int:
    from deploy_relay_kit.harness.judge.explain import explain, overview

    say(overview() if options.requirement is None else explain(options.requirement))
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


_COMMANDS: dict[str, Command] = {
    "run": _run,
    "replay": _replay,
    "report": _report,
    "annotate": _annotate,
    "demo": _demo,
    "serve": _serve,
    "lint": _lint,
    "explain": _explain,
    "schema": _schema,
}
