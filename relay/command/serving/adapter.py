"""`relay serve --adapter`: a node that a judge of origins starts and asks to deploy.

The judge writes one line of JSON to the standard input and waits for one line. It writes the nodes
of each deploy to a file, in the form that adapters of relays know.
"""

import secrets
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import read_text
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import LocalSettings, Mint, Node
from deploy_relay_kit.relay.origin.access import hashed
from deploy_relay_kit.relay.origin.config import Config, User
from deploy_relay_kit.relay.origin.others import Others
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.tls import Tls
from deploy_relay_kit.relay.token import GivenToken, OperationsMint

T = TypeVar("T")
PROTOCOL = 1
STARTED: dict[str, object] = {
    "relay": "relay serve",
    "version": version("deploy-relay-kit"),
    "protocol": PROTOCOL,
    "capabilities": [
        *("mint.operations", "mint.replication", "mint.given", "events", "retry", "limits"),
        *("insecure_node", "node_ca", "client_certificate", "urls_from_parts", "allow_http"),
    ],
}
"""What the line of the node holds beside its URL."""


class Start(msgspec.Struct):
    """The line of the judge; members that are not here are ignored."""

    protocol: int
    host: str
    port: int
    directory: Path
    certificate_file: Path
    key_file: Path
    username: str
    password: str
    deploy_file: Path


class _ByOperations(msgspec.Struct, tag_field="by", tag="operations"):
    username: str
    password: str


class _ByReplication(msgspec.Struct, tag_field="by", tag="replication"):
    pass


class _Given(msgspec.Struct, tag_field="by", tag="given"):
    token: str


class _Node(msgspec.Struct):
    name: str
    mint: _ByOperations | _ByReplication | _Given
    url: str | None = None
    verify: bool = True
    host: str | None = None
    port: int | str | None = None
    replication_url: str | None = None
    ca_file: Path | None = None


class _Limits(msgspec.Struct):
    connect: float
    mint: float
    stall: float
    answer: float
    attempts: int
    retry_delay: float


class _Local(msgspec.Struct):
    secure_port: int | str | None = None
    insecure_port: int | str | None = None
    secure_replication_port: int | str | None = None
    insecure_replication_port: int | str | None = None


class _Deploy(msgspec.Struct):
    nodes: list[_Node]
    limits: _Limits
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    local: _Local | None = None
    allow_http: bool = False


def read_start(line: str) -> Start:
    """The line of the judge.

    Raises:
        InputError: It is not such a line.
    """
    start = _converted(line, Start, "the line of the judge")
    if start.protocol != PROTOCOL:
        raise InputError(f"the judge speaks protocol {start.protocol}, this node {PROTOCOL}")
    return start


def config_of(start: Start) -> Config:
    """The configuration of the node; its key for tokens is made in its directory."""
    key_file = start.directory / f"token-{secrets.token_hex(4)}.pem"
    key = rsa.generate_private_key(65_537, 2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        key_file.touch(mode=0o600)
        key_file.write_bytes(pem)
    except OSError as error:
        raise InputError(f"cannot use directory {start.directory}: {error}") from None
    return Config(
        name="origin",
        directory=start.directory,
        certificate_file=start.certificate_file,
        key_file=start.key_file,
        token_key_file=key_file,
        users={start.username: User(hash=hashed(start.password))},
        host=start.host,
        port=start.port,
        unpack=False,  # the payloads of a judge are any bytes
        restart=["true"],
    )


def look_in(file: Path) -> Others:
    """The nodes of the next deploy, and how they are reached."""
    given = _converted(read_text(file), _Deploy, str(file))
    limits, local = given.limits, given.local
    return Others(
        [
            Node(
                it.name,
                it.url,
                host=it.host,
                port=it.port,
                replication_url=it.replication_url,
                verify=it.verify,
                ca_file=it.ca_file,
                mint=_mint(it.mint),
            )
            for it in given.nodes
        ],
        {
            "tls": Tls(given.ca_file, given.certificate_file, given.key_file),
            "limits": Limits(limits.connect, limits.mint, limits.stall, limits.answer),
            "local": None if local is None else LocalSettings(*msgspec.structs.astuple(local)),
            "allow_http": given.allow_http,
        },
        Retry(limits.attempts, first_delay=limits.retry_delay),
    )


def _mint(given: _ByOperations | _ByReplication | _Given) -> Mint:
    match given:
        case _ByOperations(username, password):
            return OperationsMint(username, password)
        case _Given(token):
            return GivenToken(token)
    return ReplicationMint()


def _converted(text: str, kind: type[T], what: str) -> T:
    try:
        members: Any = msgspec.json.decode(text.encode())
        return msgspec.convert(members, kind, dec_hook=lambda kind, value: kind(value))
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise InputError(f"{what}: {error}") from None
