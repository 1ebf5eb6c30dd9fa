"""The configuration of a node, and the nodes of its cluster."""

import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import read_text
from deploy_relay_kit.relay.node import Node

T = TypeVar("T")
MIB = 1 << 20
Number = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class _Table(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A table that refuses unknown members, so that a misspelled member is an error."""


class User(_Table, frozen=True, kw_only=True):
    """A user of the operations API; only a `super_user` may deploy (DEP-01)."""

    hash: str
    super_user: bool = True


class Bounds(_Table, frozen=True, kw_only=True):
    """What the node accepts, in bytes, entries and seconds."""

    json_bytes: Number = 8 * MIB
    payload_bytes: Number = 4_096 * MIB
    unpacked_bytes: Number = 8_192 * MIB
    entries: Number = 100_000
    ratio: Number = 200
    path_bytes: Number = 1_024
    command: Seconds = 3_600.0
    idle: Seconds = 60.0
    head: Seconds = 10.0
    connections: Number = 1_000


class PeerBounds(_Table, frozen=True, kw_only=True):
    """How long the node waits for another one, in seconds, as `relay.Limits`."""

    connect: Seconds = 10.0
    mint: Seconds = 30.0
    stall: Seconds = 60.0
    answer: Seconds = 3_720.0
    total: Seconds | None = None


class Cluster(_Table, frozen=True, kw_only=True):
    """How the other nodes are reached: their file, their authority, and the user there."""

    nodes_file: Path
    ca_file: Path | None = None
    username: str
    password_file: Path
    limits: PeerBounds = PeerBounds()


class Config(_Table, frozen=True, kw_only=True):
    """One node. Relative paths start at the directory of the configuration file."""

    name: str
    directory: Path
    certificate_file: Path
    key_file: Path
    token_key_file: Path
    users: dict[str, User]
    host: str = "127.0.0.1"
    port: Port = 9925
    replication_port: Port | None = None
    aliases: list[str] = []
    cluster: Cluster | None = None
    limits: Bounds = Bounds()
    on_deploy: list[str] = []
    restart: list[str] = []
    wait_for_project: bool = True
    unpack: bool = True


class _NodeRow(_Table, frozen=True, kw_only=True):
    name: str
    url: str
    replication_url: str | None = None


class _Nodes(_Table, frozen=True, kw_only=True):
    node: list[_NodeRow] = []


def read_config(path: Path) -> Config:
    """Read a configuration; raise InputError, which names the member, for one that is wrong."""
    config = _converted(path, Config)
    if not config.users:
        raise InputError(f"{path}: table 'users' is empty; nobody could deploy")
    return config


def nodes_of(config: Config) -> list[Node]:
    """The other nodes as their file is now, without any name of this one; raises InputError."""
    if config.cluster is None:
        return []
    rows = _converted(config.cluster.nodes_file, _Nodes).node
    own = {config.name, *config.aliases}
    return [
        Node(it.name, it.url, replication_url=it.replication_url)
        for it in rows
        if it.name not in own
    ]


def _converted(path: Path, kind: type[T]) -> T:
    def decoded(_: object, value: object) -> Path:
        """A path, the only type here that msgspec does not know."""
        if isinstance(value, str) and "\0" not in value:
            return path.absolute().parent / value
        raise ValueError(f"expected Path, got {value!r}")

    try:
        return msgspec.convert(tomllib.loads(read_text(path)), kind, dec_hook=decoded)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{str(path)!r} is not TOML: {error}") from None
    except (msgspec.ValidationError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
