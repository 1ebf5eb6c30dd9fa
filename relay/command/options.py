"""The options of `relay deploy`, and the nodes, request and limits that follow from them."""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy_relay_kit.relay.command.limits import add_limits, rates_in
from deploy_relay_kit.relay.command.parsers import (
    Parser,
    PrintCompletion,
    ShowVersion,
    add_origin,
    check_words,
    deploy_parser,
    refuse_secrets,
)
from deploy_relay_kit.relay.command.settings import Settings, read_settings
from deploy_relay_kit.relay.errors import AttemptError, InputError
from deploy_relay_kit.relay.files import STANDARD_INPUT, read_text
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.request import decoded, stays_behind
from deploy_relay_kit.relay.urls import resolve, without_user_info
from deploy_relay_kit.spelling import a_path as _path
from deploy_relay_kit.spelling import at_least_one, surplus

_PROJECT = re.compile(r"[A-Za-z0-9_-]+")  # DEP-02

_EPILOG = """\
Every option can also be a variable RELAY_… (RELAY_CA, RELAY_NODE="a=https://… b=https://…"), or
a key of the file that --config names and of ~/.config/relay/config.toml. An option counts before a
variable, that before the named file, that before the user's file; --dry-run shows what counted.
Without --config, relay.toml in the working directory counts, but may not set nodes, credentials,
certificates, fields or files. "-" as PATH, or as the FILE of --nodes, --password-file or
--token-file, is the standard input.

Credentials are never read from the command line. The first of these counts: a token in
--token-file; the password of --user in --password-file; a token in RELAY_TOKEN; the password in
RELAY_PASSWORD; a password typed at the terminal. RELAY_USER is the default of --user.

exit codes: 0 every node succeeded, 1 some node failed, 2 bad usage (nothing was sent), 3 the
deploy ended but its records could not be written, 129, 130 or 143 interrupted by a hang-up,
Ctrl-C or SIGTERM
"""


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; an error does not repeat an unknown one, which may be a secret.

    Raises:
        InputError: There are unknown arguments.
    """
    everything, words = parser(), list(sys.argv[1:] if argv is None else argv)
    settings = Settings()
    if words[:1] == ["deploy"] and not {"-h", "--help"} & {*words}:
        settings = read_settings(deploy_parser(everything), words[1:])
        words = ["deploy", *settings.arguments, *words[1:]]
    check_words(everything, words)
    arguments, unknown = everything.parse_known_args(words)
    if unknown:
        names = [it[:2] for it in unknown if it[:1] == "-"]
        what = f"unknown option {names[0]}" if names else "unexpected argument"
        raise InputError(f"{what}; {surplus(everything, arguments.verb)}")
    arguments.settings = settings
    if arguments.verb == "deploy":
        _check_standard_input(arguments)
        if arguments.skip_node_modules:
            arguments.exclude = [*arguments.exclude, "node_modules"]
    return arguments


def _check_standard_input(arguments: argparse.Namespace) -> None:
    files = [arguments.path, arguments.password_file, arguments.token_file, *arguments.nodes]
    if files.count(STANDARD_INPUT) > 1:
        raise InputError("only one of PATH and the FILEs can be -, the standard input")


def parser() -> argparse.ArgumentParser:
    parser = Parser("relay", description="Deploy to every node of a cluster.", allow_abbrev=False)
    parser.add_argument("--version", action=ShowVersion)
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        choices=("bash", "zsh", "tcsh"),
        help='print completions; in ~/.bashrc: eval "$(relay --print-completion bash)"',
    )
    refuse_secrets(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    verb = verbs.add_parser(
        "deploy",
        help="deploy a component to every node",
        usage="%(prog)s PATH (--node NAME=URL | --nodes FILE | --via URL) ... [option ...]",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = verb.add_argument
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    add(
        "path",
        type=_path,
        metavar="PATH",
        help="a component directory, or a .tar.gz of one; - for standard input",
    )
    add("--node", metavar="NAME=URL", help="a node; repeatable", **repeatable)
    add("--nodes", type=_path, metavar="FILE", help="nodes, one per line; repeatable", **repeatable)
    add("--via", metavar="URL", help="one origin, which deploys to the nodes that it knows")
    add("--only", metavar="NAME", help="deploy to this node only; repeatable", **repeatable)
    add("--project", help="name of the component (default: from PATH)")
    add("--field", metavar="KEY=VALUE", help="another field; repeatable", **repeatable)
    add("--exclude", metavar="GLOB", help="leave out matching files; repeatable", **repeatable)
    add(
        "--skip-node-modules",
        action="store_true",
        help="leave out node_modules, besides what --exclude leaves out",
    )
    add("--user", help="a super user of every node")
    add("--password-file", type=_path, metavar="FILE", help="the user's password")
    refuse_secrets(verb)
    add("--token-file", type=_path, metavar="FILE", help="a token, instead of a user")
    add("--ca", type=_path, metavar="FILE", help="PEM file with the cluster's authorities")
    add("--cert", type=_path, metavar="FILE", help="PEM file with the relay's own certificate")
    add("--key", type=_path, metavar="FILE", help="PEM file with its private key (default: --cert)")
    add("--insecure", metavar="NAME", help="do not verify this node; repeatable", **repeatable)
    add("--allow-http", action="store_true", help="allow plain http to other machines")
    add("--proxy", metavar="URL", help="reach the nodes through this HTTP proxy; env: HTTPS_PROXY")
    add("--concurrency", type=at_least_one, metavar="N", help="nodes served at once (default: all)")
    add(
        "--threads",
        type=at_least_one,
        metavar="N",
        help="threads that share the nodes (default: as many as finish the deploy sooner)",
    )
    add_limits(verb)
    add(
        "--attempts",
        type=at_least_one,
        default=3,
        metavar="N",
        help="per node (default: 3; 1: no retry)",
    )
    age = verb.add_mutually_exclusive_group()
    age.add_argument(
        "--probe",
        action="store_true",
        help="ask each node for its version, and deploy in CBOR to one older than 5.1",
    )
    age.add_argument(
        "--legacy", action="store_true", help="deploy in CBOR: all nodes are older than 5.1"
    )
    add(
        "--restart",
        nargs="?",
        const="at-once",
        choices=("at-once", "rolling"),
        help="restart the nodes that took the package, all at once or one after another",
    )
    add("--dry-run", action="store_true", help="show what would be sent to whom; send nothing")
    add("--config", type=_path, metavar="FILE", help="settings, instead of relay.toml")
    add("--profile", metavar="NAME", help="the settings of this profile in a file of settings")
    add("--log-file", type=_path, metavar="FILE", help="append each event to this file, with times")
    verbosity = verb.add_mutually_exclusive_group()
    verbosity.add_argument(
        *("-v", "--verbose"), action="store_true", help="show each step as a line, never as a bar"
    )
    verbosity.add_argument(
        *("-q", "--quiet"),
        action="store_true",
        help="show no progress, and do not ask nodes for it",
    )
    output = verb.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON document, no table")
    output.add_argument("--events", action="store_true", help="print each event as a JSON line")
    add_origin(verbs)
    return parser


def nodes_in(arguments: argparse.Namespace) -> list[Node]:
    """The nodes to deploy to, with unique names and usable, unique URLs."""
    nodes: dict[str, Node] = {}
    names: dict[str | None, str] = {}  # by their URLs
    for where, text in _node_texts(arguments):
        node = _node(text, where, arguments)
        if node.name in nodes:
            raise InputError(f"{where}: duplicate node name {node.name!r}")
        if (twin := names.setdefault(node.url, node.name)) != node.name:
            raise InputError(f"{where}: node {twin!r} has the same URL")
        nodes[node.name] = node
    if not nodes:
        empty = "".join(f"; {str(file)!r} has none" for file in arguments.nodes)
        raise InputError(f"no nodes; give --node, --nodes or --via{empty}")
    for option in ("insecure", "only"):
        if unknown := set(getattr(arguments, option)) - set(nodes):
            known = ", ".join(nodes)
            close = get_close_matches(min(unknown), nodes, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {known}"
            raise InputError(f"--{option} {min(unknown)!r}: unknown node{hint}")
    rates = rates_in(arguments.limit_rate, nodes)
    kept = [it for it in nodes.values() if not arguments.only or it.name in arguments.only]
    return [replace(it, rate=rates.get(it.name)) for it in kept]


def _node_texts(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The text of each node, with its place for error messages."""
    if arguments.via:
        where = f"--via {without_user_info(arguments.via)!r}"
        for option in ("node", "nodes", "only", "legacy"):
            if getattr(arguments, option):
                raise InputError(f"{where}: the origin knows its nodes; leave out --{option}")
        for option in ("probe", "concurrency", "threads"):  # settings may be for other deploys
            if arguments.settings.sources.get(option) == "command line":
                raise InputError(f"{where}: --{option} has no effect; leave it out")
        yield where, f"{_host_of(arguments.via)}={arguments.via}"
    for text in arguments.node:
        yield f"--node {without_user_info(text)!r}", text
    for file in arguments.nodes:
        for number, line in enumerate(read_text(file, "--nodes").splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                # Messages do not quote the line, which may be of another kind of file.
                yield f"{file}:{number}", line.strip()


def _host_of(url: str) -> str:
    with suppress(ValueError):
        return urlsplit(url).hostname or "origin"
    return "origin"


def _node(text: str, where: str, arguments: argparse.Namespace) -> Node:
    name, equals, url = text.partition("=")
    if not (name and equals and url) or "//" in name:  # a URL may hold a "=", too
        raise InputError(f"{where}: not NAME=URL, such as eu=https://eu.example.com:9925/")
    node = Node(name, url, verify=name not in arguments.insecure)
    try:
        resolve(node, allow_http=arguments.allow_http)
    except (AttemptError, InputError) as error:  # at once, not in a record
        raise InputError(f"{where}: {error}") from error
    return node


def request_in(arguments: argparse.Namespace) -> dict[str, object]:
    project, remedy = arguments.project, ""
    if project is None:
        path = arguments.path
        if path == STANDARD_INPUT:
            raise InputError("the package is read from standard input; name it with --project")
        name = (path if path.name.strip(".") else _resolved(path)).name
        project = name.removesuffix(".tgz").removesuffix(".tar.gz")
        remedy = "; give --project"
    if not _PROJECT.fullmatch(project):
        raise InputError(
            f"project name {project!r} must consist of letters, digits, - and _{remedy}"
        )
    if not isinstance(decoded(project), str):
        project = json.dumps(project)  # a peer would read a number (PARSE-32)
    request: dict[str, object] = {"operation": "deploy_component", "project": project}
    if arguments.restart:
        request["restart"] = _restart_in(arguments)
    for text in arguments.field:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--field {text!r} is not KEY=VALUE")
        if name in request:
            raise InputError(f"--field {name!r} is given twice, or has its own option")
        if name == "replicated" or stays_behind(name):
            raise InputError(f"--field {name!r}: the relay never sends this field")
        request[name] = value
    return request


def _restart_in(arguments: argparse.Namespace) -> bool | str:
    """An origin restarts its nodes itself; else the restarts follow the whole deploy (FLD-06)."""
    if not arguments.via:
        return False
    return "rolling" if arguments.restart == "rolling" else True


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # the working directory is gone
        raise InputError(f"cannot resolve {str(path)!r}; give --project") from error


def proxy_in(arguments: argparse.Namespace) -> str | None:
    proxy: str | None = arguments.proxy
    if proxy is not None and "@" in proxy:
        raise InputError(
            "--proxy: other users can read a command line; "
            "put a URL with credentials into HTTPS_PROXY, and give --proxy env"
        )
    return proxy
