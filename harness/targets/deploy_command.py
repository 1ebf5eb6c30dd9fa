"""The deploy command: everything that a target needs for one deploy. Pure.

The same classes are the messages of the adapter protocol: `messages` writes and reads them, and
`adapter.schema.json` is generated from them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct, field

Seconds = Annotated[float, Meta(gt=0)]
Port = int | str


class OperationsMint(Struct, frozen=True, tag_field="by", tag="operations"):
    """Mint over the node's operations API.

    Attributes:
        username: a user of that node.
        password: the password of that user.
    """

    username: str
    password: str

    def __repr__(self) -> str:
        return f"OperationsMint({self.username!r})"


class ReplicationMint(Struct, frozen=True, tag_field="by", tag="replication"):
    """Mint over the node's replication socket, as the node that the certificate names."""


class GivenToken(Struct, frozen=True, tag_field="by", tag="given"):
    """Do not mint.

    Attributes:
        token: a token of that node.
    """

    token: str

    def __repr__(self) -> str:
        return "GivenToken()"


Mint = OperationsMint | ReplicationMint | GivenToken


class DeployNode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as the origin knows it.

    Attributes:
        name: the node's name.
        url: URL of its operations API, with path and query; without it, build one from the rest.
        mint: how to get a token of the node.
        verify: false: do not verify its certificate.
        host: where it is, for a node without a URL.
        port: a port, or `host:port`, for a node without a URL.
        replication_url: URL of its replication socket.
        ca_file: absolute path of a PEM file: authorities trusted for this node only.
    """

    name: Annotated[str, Meta(min_length=1)]
    url: str | None = None
    mint: Mint
    verify: bool = field(default_factory=lambda: True)  # always written: a factory is no default
    host: str | None = None
    port: Port | None = None
    replication_url: str | None = None
    ca_file: Path | None = None


class Limits(Struct, frozen=True):
    """How long the relay may wait, in seconds, and how often it may try.

    Attributes:
        connect: name lookup, connection and TLS handshake together.
        mint: getting a token.
        stall: a peer takes no byte of an upload.
        answer: from the last byte of an upload to the end of the answer.
        attempts: attempts for each node.
        retry_delay: longest pause before the second attempt.
    """

    connect: Seconds = 10.0
    mint: Seconds = 10.0
    stall: Seconds = 10.0
    answer: Seconds = 20.0
    attempts: Annotated[int, Meta(ge=1)] = 1
    retry_delay: Annotated[float, Meta(ge=0)] = 0.05

    @property
    def times(self) -> tuple[float, ...]:
        """The limits that need the capability `limits`."""
        return (self.connect, self.mint, self.stall, self.answer)


class LocalSettings(Struct, frozen=True, omit_defaults=True):
    """The origin's own ports, for nodes without a URL; an absent one is not configured.

    Attributes:
        secure_port: of the operations API, with TLS.
        insecure_port: of the operations API, without TLS.
        secure_replication_port: of the replication socket, with TLS.
        insecure_replication_port: of the replication socket, without TLS.
    """

    secure_port: Port | None = None
    insecure_port: Port | None = None
    secure_replication_port: Port | None = None
    insecure_replication_port: Port | None = None


STOCK = LocalSettings(secure_port=9925, secure_replication_port=9933)
"""The settings of an origin with an unchanged configuration (URL-06)."""


class DeployCommand(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="verb", tag="deploy"
):
    """Relay this deploy to these nodes.

    Attributes:
        seq: number of the message.
        nodes: where to deploy, in the order of the records.
        request: the deploy request as the origin holds it; the order of its members counts.
        payload: absolute path of the staged payload; it may be missing.
        ca_file: absolute path of a PEM file: the cluster's authorities.
        certificate_file: absolute path of a PEM file: the relay's own certificate chain.
        key_file: absolute path of a PEM file: the private key of that certificate.
        local: the origin's own ports, when a node has no URL.
        limits: time limits and attempts.
        allow_http: plain http to another machine is allowed.
        events: ask the nodes for event streams.
        cancel_after: seconds after which the deploy is cancelled.
    """

    seq: Annotated[int, Meta(ge=1)] = field(default_factory=lambda: 1)
    nodes: tuple[DeployNode, ...]
    request: dict[str, Any]
    payload: Path
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    local: LocalSettings | None = None
    limits: Limits = field(default_factory=Limits)
    allow_http: bool = False
    events: bool = False
    cancel_after: Seconds | None = None

    @property
    def needs(self) -> set[str]:
        """The capabilities that a target needs for this command."""
        needed = {MINT_CAPABILITIES[type(node.mint)] for node in self.nodes}
        asked = {
            "insecure_node": any(not node.verify for node in self.nodes),
            "node_ca": any(node.ca_file for node in self.nodes),
            "urls_from_parts": any(node.url is None for node in self.nodes),
            "client_certificate": self.certificate_file is not None,
            "retry": self.limits.attempts > 1,
            "limits": self.limits.times != Limits().times,
            "allow_http": self.allow_http,
            "events": self.events,
            "cancel": self.cancel_after is not None,
            "any_request": not _fits_a_form(self.request),
        }
        return needed | {name for name, is_asked in asked.items() if is_asked}


def _fits_a_form(request: Mapping[Any, Any]) -> bool:
    """Whether a client can send the request to an origin, and the origin fans it out.

    An origin keeps a deploy with `replicated: false` for itself (SEQ-02), refuses a project of
    another form (DEP-02), a package beside the payload (DEP-04) and some names (PARSE-27), and
    restarts the nodes in turn itself (FLD-06). A form carries only simple names unchanged.
    """
    project = request.get("project")
    return (
        request.get("replicated") is not False
        and request.get("restart") != "rolling"
        and not (isinstance(project, str) and not _PROJECT.fullmatch(project))
        and not _REFUSED_NAMES & request.keys()
        and all(isinstance(name, str) and _FORM_NAME.fullmatch(name) for name in request)
    )


_REFUSED_NAMES = {"__proto__", "constructor", "prototype", "package"}
_PROJECT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_FORM_NAME = re.compile(r"[!#-\[\]-~]+", re.ASCII)  # printable, no quote, no backslash, no space

MINT_CAPABILITIES: dict[type[Mint], str] = {
    OperationsMint: "mint.operations",
    GivenToken: "mint.given",
    ReplicationMint: "mint.replication",
}
"""The capability for each way to mint, the usual way first."""
