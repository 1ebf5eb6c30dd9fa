"""The options of `relay-harness`, without what its commands load."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import NoReturn

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.faults.text import fault_names, wrapper_names
from deploy_relay_kit.harness.profiles import PROFILES
from deploy_relay_kit.spelling import a_path, at_least_one, misspelled, not_empty, surplus

Command = Callable[[argparse.Namespace], int]
Commands = argparse._SubParsersAction  # noqa: SLF001  argparse has no public name for it


class Parser(argparse.ArgumentParser):
    """Raises `InputError`, so that all errors of the command look the same."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")

    def error_of(self, word: str, command: str) -> NoReturn:
        """Name an argument that the command does not take."""
        raise InputError(f"unexpected argument {word!r}; {surplus(self, command)}")

    def check_words(self, words: Sequence[str]) -> None:
        """Name the command or option that a misspelled one is close to.

        Raises:
            InputError: There is an unknown one.
        """
        if problem := misspelled(self, words):
            raise InputError(problem)


def parser(commands: Mapping[str, Command]) -> Parser:
    """The parser; each command of the line sets `command` to its function in `commands`."""
    whole = Parser(
        prog="relay-harness",
        description="A fake cluster that judges deploy relays by what its peers witnessed.",
    )
    whole.add_argument(
        "--version", action="version", version=f"%(prog)s {version('deploy-relay-kit')}"
    )
    lines = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_options in (
        _run_options,
        _replay_options,
        _report_options,
        _annotate_options,
        _demo_options,
        _serve_options,
        _lint_options,
        _explain_options,
        _schema_options,
    ):
        add_options(lines)
    for name, line in lines.choices.items():
        line.set_defaults(command=commands[name])
    return whole


# -- the options of each command -----------------------------------------------------------------


def _run_options(commands: Commands[Parser]) -> None:
    run = commands.add_parser(
        "run",
        help="judge a relay: a verdict per requirement",
        description="Exit code: 0 a requirement was judged and none failed unexpectedly, "
        "1 one did, 2 usage.",
    )
    run.add_argument(
        "--relay",
        metavar="TARGET",
        type=not_empty,
        help="the relay to judge (default: $RELAY_HARNESS_RELAY, or reference)",
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
        "--baseline", metavar="FILE", type=a_path,
        help="known failures (TOML); they stay quiet until they pass or expire",
    )  # fmt: skip
    run.add_argument(
        "--write-baseline", metavar="FILE", type=a_path,
        help="write a draft in which every failure of this run is known",
    )  # fmt: skip
    run.add_argument(
        "--report", metavar="DIR", type=a_path,
        help="write result.json, junit.xml, index.html and badge.svg there",
    )  # fmt: skip
    run.add_argument(
        "--bundle", metavar="DIR", type=a_path,
        help="write a file for each cause there, which `relay-harness replay` repeats",
    )  # fmt: skip


def _replay_options(commands: Commands[Parser]) -> None:
    replay = commands.add_parser(
        "replay",
        help="repeat the case of a bundle, and print what differs",
        description="Runs one case again that `run --bundle` wrote. Exit code: 0 it passes now, "
        "1 it does not, 2 usage.",
    )
    replay.add_argument("bundle", metavar="FILE", type=a_path, help="a file of `run --bundle`")
    replay.add_argument(
        "--relay",
        metavar="TARGET",
        type=not_empty,
        help="the relay to judge; a command that the bundle names is not run by itself",
    )


def _report_options(commands: Commands[Parser]) -> None:
    report = commands.add_parser(
        "report",
        help="make a page of one or more runs, a column for each",
        description="Reads what `run --report` wrote and compares it in one page, index.html. For "
        "a single run it also writes result.json, junit.xml and badge.svg.",
    )
    report.add_argument("results", metavar="RESULT", type=a_path, nargs="+", help="a result.json")
    report.add_argument("--to", metavar="DIR", type=a_path, required=True, help="where to write")


def _annotate_options(commands: Commands[Parser]) -> None:
    annotate = commands.add_parser(
        "annotate",
        help="print the causes of a run as annotations of a pull request",
        description="Reads what `run --report` wrote. github: commands for the log of GitHub "
        "Actions; gitlab: a Code Quality report.",
    )
    annotate.add_argument("result", metavar="RESULT", type=a_path, help="a result.json")
    annotate.add_argument("--format", choices=("github", "gitlab"), default="github")


def _demo_options(commands: Commands[Parser]) -> None:
    commands.add_parser(
        "demo", help="relay a sample component to a local 4-node TLS cluster with a failing node"
    )


def _serve_options(commands: Commands[Parser]) -> None:
    serve = commands.add_parser(
        "serve",
        help="run a fake cluster and print it as JSON, for relays outside of Python",
        description="Prints one line of JSON and serves until it is interrupted, or until standard "
        "input ends if that is a pipe; then prints what every node saw to standard error.",
        epilog="faults: " + "; ".join([*fault_names(), *wrapper_names()]),
    )
    serve.add_argument(
        "--nodes", metavar="N", type=at_least_one, default=3, help="how many (default: 3)"
    )
    serve.add_argument(
        "--fault", metavar="NODE=FAULT", action="append", default=[],
        help="how a node misbehaves, such as node-3=ResetAfter:65536; may be repeated",
    )  # fmt: skip
    serve.add_argument(
        "--profile", default="strict", choices=sorted(PROFILES), help="how healthy nodes answer"
    )
    serve.add_argument(
        "--user", metavar="NAME", type=not_empty, help="the user of all nodes (default: one each)"
    )
    serve.add_argument(
        "--password-file", metavar="FILE", type=a_path, help="holds the password of all nodes"
    )
    serve.add_argument(
        "--replication", action="store_true", help="give every node a replication socket, too"
    )
    serve.add_argument(
        "--nodes-file", metavar="FILE", type=a_path,
        help="write a line NAME=URL for each node there, as `relay deploy --nodes` takes it",
    )  # fmt: skip
    serve.add_argument(
        "--ca-file", metavar="FILE", type=a_path,
        help="write the authority of the nodes there, as `relay deploy --ca` takes it",
    )  # fmt: skip
    serve.add_argument(
        "--admin", action="store_true",
        help="serve an endpoint on loopback that changes faults; the JSON has its URL and token",
    )  # fmt: skip


def _lint_options(commands: Commands[Parser]) -> None:
    lint = commands.add_parser(
        "lint",
        help="check an adapter message by message, for its author",
        description="Drives an adapter through start, deploy and stop, and prints what is wrong "
        "with it. Exit code: 0 nothing, 1 something, 2 usage.",
        usage="%(prog)s [-h] -- COMMAND [ARGUMENT ...]",
    )
    lint.add_argument("adapter", nargs="+", metavar="COMMAND", help="the command of `cmd:COMMAND`")


def _explain_options(commands: Commands[Parser]) -> None:
    explain = commands.add_parser(
        "explain", help="what a requirement demands, why, and which cases check it"
    )
    explain.add_argument(
        "requirement", metavar="REQUIREMENT", nargs="?",
        help="its id, such as WIRE-03, or its family, such as WIRE; all by default",
    )  # fmt: skip


def _schema_options(commands: Commands[Parser]) -> None:
    schema = commands.add_parser("schema", help="print a JSON Schema of the kit")
    schema.add_argument(
        "document", choices=("adapter", "result"), help="adapter messages, or the result of a run"
    )
