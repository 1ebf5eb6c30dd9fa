"""What was seen on connections, as text for a person and as JSON."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

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
    begin = min((witness.accepted_at for _, witness in seen), default=0.0)
    return [
        {
            "node": name,
            "client": witness.client,
            "moments": [
                {
                    "ms": round((moment.at - begin) * 1000, 3),
                    "kind": moment.kind.name.lower(),
                    "part": moment.kind.part.name.lower(),
                    "text": redact(str(moment)),
                }
                for moment in list(witness.moments)
            ],
        }
        for name, witness in seen
    ]


def timeline(title: str, connections: Iterable[ConnectionWitness]) -> str:
    """What was seen on some connections, each below its number, without credentials."""
    lines = [title]
    for number, seen in enumerate(connections, 1):
        lines += [f"  connection {number}", *(f"  {line}" for line in str(seen).splitlines())]
        uploads = [it for it in list(seen.requests) if isinstance(it, UploadWitness)]
        lines += [f"    {line}" for it in uploads for line in it.summary().splitlines()]
    return "\n".join(lines if len(lines) > 1 else [*lines, "  nobody connected"])


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
        end = "and its end" if is_whole else "without its end"
        received = f"{request.reader.received:,} bytes of an upload {end}"
    elif isinstance(request, MintWitness):
        received = "a mint"
    sent = "no answer"
    if "answer" in request.times:
        is_sent = "answer end" in request.times
        sent = f"{'the whole' if is_sent else 'the beginning of an'} answer {request.answer_status}"
        if is_sent and is_whole and isinstance(request, UploadWitness):
            return ""
    return f"{name} had received {received}, and had sent {sent}"
