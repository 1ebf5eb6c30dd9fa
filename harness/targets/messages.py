"""The messages of the adapter protocol: written, read and checked. Pure.

One JSON object per line in each direction.
"""

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES
from deploy_relay_kit.harness.targets.deploy_command import (
    MINT_CAPABILITIES,
    STOCK,
    DeployCommand,
    ReplicationMint,
)
from deploy_relay_kit.harness.targets.outcome import Outcome, TargetBrokeError, TargetSkippedError

PROTOCOL = 1
MAX_SHOWN = 200
"""Characters of a line that an error shows."""

Seq = Annotated[int, Meta(ge=1)]
_Reply = TypeVar("_Reply", bound="Reply")


class MessageError(ValueError):
    """A line that is not a message of the protocol; the text says what is wrong with it."""


class Start(Struct, tag_field="verb", tag="start"):
    """Kit: who are you, and what can you do?

    Attributes:
        seq: number of the message.
        protocol: version of this protocol.
        ca_file: the `ca_file` of the deploys to come, for a relay that reads it when it starts; a
            deploy may name another.
    """

    seq: Seq
    protocol: int = PROTOCOL
    ca_file: Path | UnsetType = UNSET


class Stop(Struct, tag_field="verb", tag="stop"):
    """Kit: reply and exit.

    Attributes:
        seq: number of the message.
    """

    seq: Seq


class Reply(Struct, forbid_unknown_fields=True):
    """What an adapter sends.

    Attributes:
        seq: the number of the message that it replies to.
    """

    seq: Seq


class Started(Reply):
    """Adapter: who it is and what it can do.

    Attributes:
        relay: name of the relay.
        protocol: version of this protocol that the adapter speaks.
        capabilities: the optional things that the relay can do.
        version: version of the relay.
    """

    relay: Annotated[str, Meta(min_length=1)]
    protocol: int
    capabilities: list[Annotated[str, Meta(pattern=r"^[a-z_]+(\.[a-z_]+)?$")]]
    version: str = ""

    def __post_init__(self) -> None:
        if self.protocol != PROTOCOL:
            text = f"the adapter speaks protocol {self.protocol}, this kit protocol {PROTOCOL}"
            raise ValueError(text)
        check_capabilities(self.capabilities)


class Deployed(Reply):
    """Adapter: the result of a deploy, exactly one of the members beside seq.

    Attributes:
        records: one record per node, in node order, as the relay made them.
        refused: why the relay did not begin; it sent nothing.
        cancelled: true: the deploy was cancelled after `cancel_after`.
        skipped: why the adapter cannot do this deploy.
        errored: the relay failed with an error of its own: its traceback.
    """

    records: list[dict[str, Any]] | UnsetType = UNSET
    refused: str | UnsetType = UNSET
    cancelled: bool | UnsetType = UNSET
    skipped: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    errored: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        members = self.__struct_fields__[1:]
        given = [name for name in members if getattr(self, name) is not UNSET]
        if len(given) != 1:
            got = ", ".join(given) or "none of them"
            raise ValueError(f"give seq and exactly one of {', '.join(members)}; got {got}")
        if self.cancelled is False:
            raise ValueError("cancelled must be true, or left out")

    @property
    def outcome(self) -> Outcome:
        """The outcome that it tells.

        Raises:
            TargetSkippedError: the adapter did not do it.
            TargetBrokeError: the relay had an error of its own.
        """
        if self.skipped is not UNSET:
            raise TargetSkippedError(self.skipped)
        if self.errored is not UNSET:
            raise TargetBrokeError(f"the relay reported an error of its own\n{self.errored}")
        if self.refused is not UNSET:
            return Outcome(refused=self.refused)
        if self.records is UNSET:
            return Outcome(cancelled=True)
        return Outcome.of(self.records)


class Stopped(Reply):
    """Adapter: the last line before it exits.

    Attributes:
        stopped: true.
    """

    stopped: bool


def check_capabilities(declared: list[str]) -> None:
    """Raise ValueError when a target declares an unknown capability."""
    if unknown := sorted(set(declared) - set(CAPABILITIES)):
        known = ", ".join(CAPABILITIES)
        raise ValueError(f"unknown capabilities {', '.join(unknown)}; known are {known}")


def no_way_to_mint(declared: list[str]) -> str:
    """What is wrong with capabilities that hold no way to mint; empty when they hold one."""
    ways = MINT_CAPABILITIES.values()
    if set(ways) & set(declared):
        return ""
    return f"no way to mint is declared; declare one of {', '.join(ways)}"


# -- writing -------------------------------------------------------------------------------------


def plain(message: Struct) -> dict[str, Any]:
    """A message as JSON values; the deploy request of a command stays as it is.

    Where a node has no URL, the origin's own ports are given: those of a stock one by default.
    """
    if not isinstance(message, DeployCommand):
        return dict(msgspec.to_builtins(message, enc_hook=_path))
    needs_ports = any(
        node.url is None or (node.mint == ReplicationMint() and node.replication_url is None)
        for node in message.nodes
    )
    local = message.local or (STOCK if needs_ports else None)
    bare = msgspec.structs.replace(message, request={}, local=local)
    members = msgspec.to_builtins(bare, enc_hook=_path)
    return {**members, "request": message.request}


def _path(path: Path) -> str:
    return str(path.absolute())


def encode(message: Struct) -> bytes:
    """A message as a line with its end, in ASCII, so that every reader can read it.

    Raises:
        MessageError: it holds a value that JSON cannot express.
    """
    return encode_plain(plain(message))


def encode_plain(members: dict[str, Any]) -> bytes:
    """JSON values as a line with its end; errors as of `encode`."""
    try:
        return json.dumps(members, allow_nan=False).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"cannot be written as JSON: {error}") from error


# -- reading -------------------------------------------------------------------------------------


def decode(kind: type[_Reply], line: bytes, seq: int) -> _Reply:
    """The reply in a line.

    Args:
        kind: the class of the expected reply.
        line: a line without its end.
        seq: the number that the reply must repeat.

    Raises:
        MessageError: it is not JSON, has another number, or is not such a reply.
    """
    members = decode_plain(line)
    if members.get("seq") != seq:
        raise MessageError(f"expected seq {seq}, got {members.get('seq')!r}: {show(line)}")
    return reply_from(kind, members)


def reply_from(kind: type[_Reply], members: dict[str, Any]) -> _Reply:
    """A reply in JSON values, checked.

    Raises:
        MessageError: it is not such a reply; the text says where.
    """
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError as error:
        names = ", ".join(kind.__struct_encode_fields__)
        raise MessageError(f"{error} (a reply `{kind.__name__.lower()}` has {names})") from error


def command_from(members: dict[str, Any]) -> DeployCommand:
    """The deploy command in a message, for adapters in Python.

    Raises:
        MessageError: it is not a deploy command.
    """
    try:
        return msgspec.convert(members, DeployCommand, dec_hook=lambda kind, text: kind(text))
    except msgspec.ValidationError as error:
        raise MessageError(str(error)) from error


def decode_plain(line: bytes) -> dict[str, Any]:
    """The JSON object in a line.

    Raises:
        MessageError: the line is not a JSON object.
    """
    try:
        members = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not JSON ({error}): {show(line)}") from error
    if not isinstance(members, dict):
        raise MessageError(f"not a JSON object: {show(line)}")
    return members


def show(line: bytes | bytearray, most: int = MAX_SHOWN) -> str:
    """The beginning of a line, for a person, with each run of white space as one space."""
    # A character has at most four bytes; the rest is room for white space.
    text = bytes(line[: 8 * most]).decode("utf-8", "backslashreplace")
    text = " ".join(text.split())
    return repr(text if len(text) <= most else f"{text[:most]}…")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
