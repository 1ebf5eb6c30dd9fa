"""What a bundle holds: one case, its cluster, its payloads, and the bytes that peers read."""

from msgspec import Struct

from deploy_relay_kit.harness.judge.model import Case

FORMAT = 1
"""Version of the shape; raised when a reader of the old one would go wrong."""


class BundledNode(Struct, omit_defaults=True):
    """One server of the cluster: a peer, a replication socket or a front.

    Attributes:
        title: its name in timelines.
        kind: the name of its class.
        url: where the relay reached it.
        profile: the class of its profile; a peer's.
        faults: how it misbehaves, with all values and seeds.
        username: of a peer: the user who may deploy.
        password: of that user; it is good at this fake peer only.
    """

    title: str
    kind: str
    url: str
    profile: str = ""
    faults: list[str] = []
    username: str = ""
    password: str = ""


class BundledPayload(Struct, omit_defaults=True):
    """A staged payload; `stage_payload` makes it again from its size and its seed.

    Attributes:
        size: in bytes.
        sha256: in hex; empty if it was too long to be read again.
        seed: of its bytes; None if it is no seeded payload.
    """

    size: int
    sha256: str = ""
    seed: int | None = None


class BundledRequest(Struct, omit_defaults=True):
    """The bytes of one request: its head, and the beginning and the end of its raw body.

    Attributes:
        node: the title of the server that read it.
        connection: its number at this server, from 1.
        body: length of the raw body in bytes, with framing.
        head: the raw head.
        begin: the first bytes of the raw body.
        end: its last bytes, if `begin` does not reach so far.
    """

    node: str
    connection: int
    body: int = 0
    head: bytes = b""
    begin: bytes = b""
    end: bytes = b""


class Bundle(Struct, omit_defaults=True):
    """One case of one run.

    Attributes:
        case: the case as it was judged, with its timeline.
        format: version of this shape.
        relay: the target, as `--relay` named it; nothing runs it because a bundle says so.
        identity: name and version of the relay.
        kit: version of the kit.
        started: when the run began, UTC, ISO 8601.
        requirements: those that the cause of the failure costs.
        nodes: the servers of the cluster, in the order of their start.
        payloads: what the relay was told to send, deploy by deploy.
        requests: what the servers read, in order.
        left_out: requests beyond the limits of a bundle.
    """

    case: Case
    format: int = FORMAT
    relay: str = ""
    identity: str = ""
    kit: str = ""
    started: str = ""
    requirements: list[str] = []
    nodes: list[BundledNode] = []
    payloads: list[BundledPayload] = []
    requests: list[BundledRequest] = []
    left_out: int = 0
