"""The messages of the adapter protocol: built, written, read and checked. Pure.

One JSON object per line each way; both directions are checked against `adapter.schema.json`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from harness.judge.catalogue import capabilities
from harness.targets.deploy_command import (
    STOCK,
    DeployCommand,
    DeployNode,
    GivenToken,
    Limits,
    LocalSettings,
    Mint,
    OperationsMint,
    ReplicationMint,
)
from harness.targets.outcome import Outcome, TargetBrokeError, TargetSkippedError

Kind = Literal["start", "deploy", "stop", "started", "deployed", "stopped"]
Message = dict[str, Any]

PROTOCOL = 1
SCHEMA_FILE = Path(__file__).with_name("adapter.schema.json")
MAX_SHOWN = 200
"""Characters of a line that an error shows."""
_PATHS = ("payload", "ca_file", "certificate_file", "key_file")


class MessageError(ValueError):
    """A line that is no message of the protocol; the text says what is wrong with it."""


# -- written by the kit --------------------------------------------------------------------------


def start(seq: int) -> Message:
    return {"seq": seq, "verb": "start", "protocol": PROTOCOL}


def deploy(seq: int, command: DeployCommand) -> Message:
    """The deploy command as a message; what is not set is not there.

    Where a node has no URL, the origin's own ports are: those of a stock one, if no others are set.
    """
    are_needed = any(
        node.url is None or (node.mint == ReplicationMint() and node.replication_url is None)
        for node in command.nodes
    )
    local = command.local or (STOCK if are_needed else None)
    message: Message = {
        "seq": seq,
        "verb": "deploy",
        "nodes": [_node(node) for node in command.nodes],
        "request": dict(command.request),
        "limits": asdict(command.limits),
        "local": None if local is None else _set(asdict(local)),
        "allow_http": command.allow_http or None,
        "events": command.events or None,
        "cancel_after": command.cancel_after,
    }
    for name in _PATHS:
        path = getattr(command, name)
        message[name] = None if path is None else str(path.absolute())
    return _set(message)


def stop(seq: int) -> Message:
    return {"seq": seq, "verb": "stop"}


def _node(node: DeployNode) -> Message:
    message = {name: getattr(node, name) for name in ("name", "url", "verify", "host", "port")}
    message["replication_url"] = node.replication_url
    message["ca_file"] = None if node.ca_file is None else str(node.ca_file.absolute())
    match node.mint:
        case OperationsMint(username, password):
            message["mint"] = {"by": "operations", "username": username, "password": password}
        case GivenToken(token):
            message["mint"] = {"by": "given", "token": token}
        case ReplicationMint():
            message["mint"] = {"by": "replication"}
    return _set(message)


def _set(message: Mapping[str, Any]) -> Message:
    return {name: value for name, value in message.items() if value is not None}


# -- read by an adapter in Python ----------------------------------------------------------------


def command_from(message: Message) -> DeployCommand:
    """The deploy command in a checked `deploy` message."""
    paths = {name: Path(message[name]) if name in message else None for name in _PATHS[1:]}
    return DeployCommand(
        nodes=tuple(_node_from(node) for node in message["nodes"]),
        request=message["request"],
        payload=Path(message["payload"]),
        ca_file=paths["ca_file"],
        certificate_file=paths["certificate_file"],
        key_file=paths["key_file"],
        local=LocalSettings(**message["local"]) if "local" in message else None,
        limits=Limits(**message["limits"]),
        allow_http=message.get("allow_http", False),
        events=message.get("events", False),
        cancel_after=message.get("cancel_after"),
    )


def _node_from(message: Message) -> DeployNode:
    mint = dict(message["mint"])
    by = mint.pop("by")
    made: Mint = {
        "operations": OperationsMint,
        "given": GivenToken,
        "replication": ReplicationMint,
    }[by](**mint)
    ca_file = message.get("ca_file")
    plain = {**message, "mint": made, "ca_file": None if ca_file is None else Path(ca_file)}
    return DeployNode(**{"url": None, **plain})


# -- read by the kit -----------------------------------------------------------------------------


def outcome_of(reply: Message) -> Outcome:
    """What a checked reply to `deploy` says.

    Raises:
        TargetSkippedError: the adapter would not do it.
        TargetBrokeError: the relay had an error of its own.

    """
    if "skipped" in reply:
        raise TargetSkippedError(reply["skipped"])
    if "errored" in reply:
        raise TargetBrokeError(f"the target reported an error of its own\n{reply['errored']}")
    if "refused" in reply:
        return Outcome(refused=reply["refused"])
    if "cancelled" in reply:
        return Outcome(cancelled=True)
    return Outcome.of(reply["records"])


def check_started(reply: Message) -> None:
    """Raise MessageError when an adapter speaks another protocol or declares what nobody knows."""
    if reply["protocol"] != PROTOCOL:
        raise MessageError(
            f"the adapter speaks protocol {reply['protocol']}, this kit protocol {PROTOCOL}"
        )
    check_capabilities(reply["capabilities"])


def check_capabilities(declared: Collection[str]) -> None:
    """Raise MessageError when something is declared that nobody knows."""
    if unknown := sorted(set(declared) - set(capabilities())):
        raise MessageError(
            f"unknown capabilities {', '.join(unknown)}; known are {', '.join(capabilities())}"
        )


# -- lines ---------------------------------------------------------------------------------------


def encode(kind: Kind, message: Message) -> bytes:
    """A checked message as a line, its end included; ASCII, so that every reader can read it.

    Raises:
        MessageError: it breaks the schema, or holds what JSON cannot express.

    """
    line = plain(message)
    check(kind, message)
    return line


def plain(message: Message) -> bytes:
    """A message as a line, unchecked.

    Raises:
        MessageError: it holds what JSON cannot express.

    """
    try:
        return json.dumps(message, allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"cannot be written as JSON: {error}") from error


def decode(kind: Kind, line: bytes, seq: int | None = None) -> Message:
    """The message in a line, checked; `seq` is the number that it must carry.

    Raises:
        MessageError: it is not JSON, has another number, or breaks the schema.

    """
    message = decode_any(line)
    if seq is not None and message.get("seq") != seq:
        raise MessageError(f"seq is {message.get('seq')!r}, expected {seq}: {show(line)}")
    check(kind, message)
    return message


def decode_any(line: bytes) -> Message:
    """The JSON object in a line, of whatever kind.

    Raises:
        MessageError: it is not one.

    """
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not JSON ({error}): {show(line)}") from error
    if not isinstance(message, dict):
        raise MessageError(f"not a JSON object: {show(line)}")
    return message


def check(kind: Kind, message: Message) -> None:
    """Raise MessageError when a message of this kind breaks the schema; the text says where."""
    error = best_match(_validator(kind).iter_errors(message))
    if error is not None and error.validator in {"minProperties", "maxProperties"}:
        possible = [name for name in schema()["$defs"][kind]["properties"] if name != "seq"]
        came = ", ".join(name for name in message if name != "seq") or "nothing"
        raise MessageError(f"give seq and just one of {', '.join(possible)}; came {came}")
    if error is not None:
        where = error.json_path.removeprefix("$").removeprefix(".") or "the message"
        what = error.message if len(error.message) <= MAX_SHOWN else f"not {error.validator_value}"
        raise MessageError(f"{where}: {what[:MAX_SHOWN]} (schema: {kind})")


def show(line: bytes | bytearray, most: int = MAX_SHOWN) -> str:
    """The beginning of a line, for a person, on whom no run of white space is spent."""
    # No character takes more than four bytes, and white space enough for a line says it all.
    text = bytes(line[: 8 * most]).decode("utf-8", "backslashreplace")
    text = " ".join(text.split())
    return repr(text if len(text) <= most else f"{text[:most]}…")


@cache
def schema() -> dict[str, Any]:
    """The schema of both directions."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return loaded


@cache
def _validator(kind: Kind) -> Draft202012Validator:
    return Draft202012Validator({**schema(), "anyOf": [{"$ref": f"#/$defs/{kind}"}]})


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
