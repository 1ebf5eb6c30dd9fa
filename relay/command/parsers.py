"""What the parser of the command adds to argparse: errors of one kind, refusals, completion."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from deploy_relay_kit.relay.command.output import Output
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.spelling import a_path, at_least_one, commands_of, misspelled, not_empty


class Parser(argparse.ArgumentParser):
    """Raises `InputError`, so that all errors of the command look the same."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")


class _Refused(argparse.Action):
    """An option with a secret, which must not appear in the error."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        name = self.option_strings[0]
        parser.error(f"{name}: other users can read a command line; use {name}-file")


def refuse_secrets(parser: argparse.ArgumentParser) -> None:
    """Refuse options whose value other users could read in the list of processes."""
    for secret in ("--password", "--token"):
        parser.add_argument(secret, action=_Refused, help=argparse.SUPPRESS)


def kit_version() -> str:
    from importlib.metadata import version  # noqa: PLC0415  it takes time, and few ask

    return version("deploy-relay-kit")


class ShowVersion(argparse.Action):
    """Prints the version, which is read only then."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        what = "show the version of the program and exit"
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=what)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        _print(f"relay {kit_version()}")
        parser.exit()


class PrintCompletion(argparse.Action):
    """Prints a script for a shell, to be evaluated there."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: Any,
        _option: str | None = None,
    ) -> NoReturn:
        import shtab  # noqa: PLC0415  only here

        for action in deploy_parser(parser)._actions:  # noqa: SLF001
            if action.metavar in {"FILE", "PATH"}:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it
        _print(shtab.complete(parser, values))
        parser.exit()


def _print(text: str) -> None:
    """Print text to the standard output.

    Raises:
        InputError: It cannot be written, but by a reader that has read enough (`| head`).
    """
    out = Output(sys.stdout)
    out.say(text)
    out.check("output")


def deploy_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of `relay deploy` in that of `relay`."""
    return commands_of(parser)["deploy"]


def check_words(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Name the command or option that a misspelled one is close to.

    Raises:
        InputError: There is an unknown one.
    """
    if problem := misspelled(parser, words):
        raise InputError(problem)


def add_origin(verbs: Any) -> None:
    """The commands of an origin."""
    serve = verbs.add_parser("serve", help="run a node that takes deploys", allow_abbrev=False)
    how = serve.add_mutually_exclusive_group(required=True)
    how.add_argument("--config", type=a_path, metavar="FILE", help="a TOML file")
    how.add_argument(
        "--adapter",
        action="store_true",
        help="for `relay-harness run --relay origin:…`: read the configuration as a line of JSON",
    )
    refuse_secrets(serve)
    for verb, help_text in (
        ("deployments", "list the deploys of a node of `relay serve`, newest first"),
        ("deployment", "show one deploy of a node, by its id"),
    ):
        parser = verbs.add_parser(verb, help=help_text, allow_abbrev=False)
        if verb == "deployment":
            parser.add_argument(
                "id", type=not_empty, metavar="ID", help="the deployment_id of its answer"
            )
            parser.add_argument("--follow", action="store_true", help="show events until it ends")
        else:
            parser.add_argument("--project", help="of this project only")
            parser.add_argument("--status", help="of this status only, such as failed")
            parser.add_argument(
                "--limit", type=at_least_one, metavar="N", help="at most N (default: 100)"
            )
        parser.add_argument("--via", metavar="URL", required=True, help="the node's URL")
        parser.add_argument("--user", default=os.environ.get("RELAY_USER"), help="a super user")
        parser.add_argument("--password-file", type=a_path, metavar="FILE", help="of the user")
        parser.add_argument("--token-file", type=a_path, metavar="FILE", help="instead of a user")
        parser.add_argument("--ca", type=a_path, metavar="FILE", help="PEM file with authorities")
        parser.add_argument("--insecure", action="store_true", help="do not verify the node")
        parser.add_argument("--allow-http", action="store_true", help="allow plain http")
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        refuse_secrets(parser)
    verbs.add_parser("hash-password", help="read a password, print its hash for the configuration")
