"""The configuration of a node, and the nodes of its cluster."""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import read_text
from deploy_relay_kit.relay.node import Node

T = TypeVar("T")
MIB = 1 << 20
Number = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=1_000_000_000)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
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
    username: Text
    password_file: Path
    limits: PeerBounds = PeerBounds()


class Config(_Table, frozen=True, kw_only=True):
    """One node. Relative paths start at the directory of the configuration file."""

    name: Text
    directory: Path
    certificate_file: Path
    key_file: Path
    token_key_file: Path
    users: dict[str, User]
    host: Text = "127.0.0.1"
    port: Port = 9925
    replication_port: Port | None = None
    aliases: list[Text] = []
    cluster: Cluster | None = None
    limits: Bounds = Bounds()
    on_deploy: list[str] = []
    restart: list[str] = []
    wait_for_project: bool = True
    unpack: bool = True


class _NodeRow(_Table, frozen=True, kw_only=True):
    name: Text
    url: Text
    replication_url: str | None = None


class _Nodes(_Table, frozen=True, kw_only=True):
    node: list[_NodeRow] = []


def read_config(path: Path) -> Config:
    """Read a configuration; raise InputError, which names the member, for one that is wrong."""
    config = _converted(path, Config, "--config")
    if not config.users:
        raise InputError(f"--config {str(path)!r}: table 'users' is empty; nobody could deploy")
    return config


def nodes_of(config: Config) -> list[Node]:
    """The other nodes as their file is now, without any name of this one; raises InputError."""
    if config.cluster is None:
        return []
    file = config.cluster.nodes_file
    rows = _converted(file, _Nodes, "nodes_file").node
    names = [it.name for it in rows]
    if twice := next((it for it in names if names.count(it) > 1), None):
        raise InputError(f"nodes_file {str(file)!r}: duplicate node name {twice!r}; rename one")
    own = {config.name, *config.aliases}
    return [
        Node(it.name, it.url, replication_url=it.replication_url)
        for it in rows
        if it.name not in own
    ]


def _converted(path: Path, kind: type[T], what: str) -> T:
    """The document of a file; errors begin with `what`, the option or member that names it."""

    def decoded(_: type[Any], value: object) -> object:
        """A path, the only type here that msgspec does not know."""
        if isinstance(value, str) and value and "\0" not in value:
            return path.absolute().parent / value
        raise ValueError("Expected `path`")

    text = read_text(path, what)
    where = f"{what} {str(path)!r}"
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is not TOML: {error}") from None
    try:
        return msgspec.convert(document, kind, dec_hook=decoded)
    except (msgspec.ValidationError, ValueError) as error:
        raise InputError(f"{where}: {_explained(str(error), document, kind)}") from None


# -- what is wrong with a document, in words of TOML ---------------------------------------------

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_EXPECTED = re.compile(r"Expected `([^`]+)`(?:, got `\w+`)?(.*)")
_TYPES = {
    "int": "an integer",
    "float": "a number",
    "str": "a text in quotes",
    "path": "a path in quotes",
    "bool": "true or false",
    "array": "a list in [ ]",
    "object": "a table",
}
_TABLES = {"cluster": Cluster, "cluster.limits": PeerBounds, "limits": Bounds, "users": User}


def _explained(error: str, document: Mapping[str, Any], kind: type[Any]) -> str:
    """The text of a msgspec error as the member, its value, and what to write instead."""
    problem, _, place = error.partition(" - at `$")
    place = place.strip(".`")
    if place.startswith("users[...]"):  # msgspec does not say which
        place = place.replace("[...]", f".{_first_bad_user(document['users'])}", 1)
    inside = f" in {place!r}" if place else ""
    if unknown := _UNKNOWN.fullmatch(problem):
        known = _table_at(place, kind).__struct_fields__
        close = get_close_matches(unknown[1], known, 1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        return f"unknown member {unknown[1]!r}{inside}; {remedy}"
    if missing := _MISSING.fullmatch(problem):
        return f"member {missing[1]!r}{inside} is missing; add {missing[1]} = …"
    if not (expected := _EXPECTED.fullmatch(problem)):
        return f"{problem}{inside}"
    wanted = " or ".join(_TYPES.get(it, it) for it in expected[1].split(" | ") if it != "null")
    bound = expected[2].replace(" of length >= 1", " that is not empty")
    return f"{place}{_shown(place, document)} must be {wanted}{bound}"


def _first_bad_user(users: Mapping[str, object]) -> str:
    for name, user in users.items():
        try:
            msgspec.convert(user, User)
        except msgspec.ValidationError:
            return name
    return "…"


def _table_at(place: str, kind: type[Any]) -> Any:
    table = "users" if place.startswith("users.") else place
    return _NodeRow if place.startswith("node[") else _TABLES.get(table, kind)


def _shown(place: str, document: Mapping[str, Any]) -> str:
    """The value at a place, if it is short and cannot be secret."""
    value: Any = document
    for step in re.findall(r"[^.\[\]]+", place):
        value = value[int(step)] if isinstance(value, list) else value.get(step)
    may_be_secret = place.startswith("users.") or "password" in place
    is_short = isinstance(value, bool | int | float | str) and not may_be_secret
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f" = {text}" if is_short else ""
