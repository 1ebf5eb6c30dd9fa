"""What was seen on connections, as text for a person and as JSON."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

from deploy_relay_kit.harness.witness.clock import milliseconds
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from deploy_relay_kit.harness.witness.requests import MintWitness, UploadWitness


class TimelineMoment(TypedDict):
    """A moment as JSON.

    ms: milliseconds since the first connection of the case.
    kind: a name in `MomentKind`, in lower case.
    part: a name in `Part`, in lower case.
    text: what a person reads.
    """

    ms: float
    kind: str
    part: str
    text: str


class ConnectionTimeline(TypedDict):
    """What a node saw of one connection, as JSON, without credentials."""

    node: str
    client: str
    moments: list[TimelineMoment]


def connection_timelines(
    seen: Iterable[tuple[str, ConnectionWitness]], redact: Callable[[str], str]
) -> list[ConnectionTimeline]:
    """What nodes saw of connections, on one clock.

    Args:
        seen: the name of a node, and one of its connections.
        redact: removes the credentials from a text.
    """
    seen = list(seen)
    begin = beginning(witness for _, witness in seen)
    return [
        {
            "node": name,
            "client": witness.client,
            "moments": [
                {
                    "ms": milliseconds(begin, moment.at),
                    "kind": moment.kind.name.lower(),
                    "part": moment.kind.part.name.lower(),
                    "text": redact(str(moment)),
                }
                for moment in list(witness.moments)
            ],
        }
        for name, witness in seen
    ]


def beginning(connections: Iterable[ConnectionWitness]) -> float:
    """When the first of some connections was accepted: 0 ms of their timelines."""
    return min((seen.accepted_at for seen in connections), default=0.0)


def timeline(
    title: str, connections: Sequence[ConnectionWitness], begin: float, since: float = 0.0
) -> str:
    """What was seen on some connections, each below its number, without credentials.

    Args:
        title: the first line.
        connections: in order.
        begin: 0 ms of every timeline.
        since: connections that ended before this time are only counted.
    """
    lines = [title]
    for number, seen in enumerate(connections, 1):
        if seen.closed_at is not None and seen.closed_at < since:
            continue
        lines += [f"  connection {number}", *(f"  {line}" for line in seen.lines(begin))]
        bodies = (it for it in list(seen.requests) if isinstance(it, UploadWitness | MintWitness))
        lines += [f"    {line}" for it in bodies for line in it.summary().splitlines()]
    if len(lines) == 1:
        earlier = f" in this time, {len(connections)} before" if connections else ""
        lines.append(f"  nobody connected{earlier}")
    return "\n".join(lines)


def progress(name: str, seen: Sequence[ConnectionWitness]) -> str:
    """How far the last exchange of a node came, in one sentence; empty when it is finished.

    Args:
        name: of the node.
        seen: its connections, in order.
    """
    if not seen:
        return f"{name} had seen no connection"
    last = seen[-1]
    if not last.requests:
        return f"{name} had seen of its last connection: {last.moments[-1]}"
    request = last.requests[-1]
    received = f"a {request.method}"
    is_whole = True
    if isinstance(request, UploadWitness):
        is_whole = request.complete
        kind = "a complete" if is_whole else "an incomplete"
        received = f"{request.reader.received:,} bytes of {kind} upload"
    elif isinstance(request, MintWitness):
        received = "a mint"
    sent = "no answer"
    if "answer" in request.times:
        is_sent = "answer end" in request.times
        part = "all" if is_sent else "the beginning"
        sent = f"{part} of its answer {request.answer_status}"
        if is_sent and is_whole and isinstance(request, UploadWitness):
            return ""
    return f"{name} had received {received}, and had sent {sent}"
