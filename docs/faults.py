"""The catalogue of faults: what each does to a real deploy, drawn. For docs/build.py."""

import asyncio
import inspect
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.faults.broken_answers import Held
from deploy_relay_kit.harness.faults.kinds import SocketFault
from deploy_relay_kit.harness.faults.text import fault_names, parse_fault, wrapper_names
from deploy_relay_kit.harness.judge.report import drawing
from deploy_relay_kit.harness.peer.payloads import stage_payload
from deploy_relay_kit.harness.replication import faults as sockets
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from deploy_relay_kit.harness.witness.moments import Part
from deploy_relay_kit.harness.witness.timeline import connection_timelines, timeline

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "Before a connection": ("Refuse:0.3", "SilentAfterAccept", "ResetAtAccept"),
    "In the TLS handshake": (
        *("HangInHandshake", "CloseInHandshake", "TlsOnly:1.2", "ClientCertificateRequired"),
        *("wrong-authority", "expired", "not-yet-valid", "wrong-host", "wrong-address"),
        *("missing-intermediate", "self-signed"),
    ),
    "At the mint of a token": (
        *("MintAnswer:401", "MintHangs", "MintDropped", "MintNested", "MintForAnotherUser"),
        "TokensExpire:1",
    ),
    "During the upload": (
        *("ResetAfter:65536", "StopReadingAfter:65536", "ReadSlowly:1000000"),
        *("CloseWithoutAnswer", "AnswerEarly:403:file:drain"),
    ),
    "In the answer to the upload": (
        *("Answer:503", "ContentLengthOff:200:9", "UnfinishedChunks:200", "HeadThenSilence:200"),
        *("EndlessHead:200", "Flood:interim answers", "Drip:200:400", "EventStream"),
    ),
    "In the network": (
        *("Latency:0.1:head", "Bandwidth:1000000", "Slices:100000", "SlowClose:0.2", "HalfOpen"),
    ),
    "For some requests, and in turn": (
        *("Answer:503,healthy", "Sometimes:0.5:7:ResetAfter:65536"),
        "Matching:Transfer-Encoding:chunked:Answer:503",
    ),
}
"""What a user writes after `--fault NODE=`."""

ONLY_PYTHON: tuple[type, ...] = (Held, sockets.RawUpgrade, sockets.RawFrames)
"""Faults that are made of a function of a test, so nothing of them is drawn."""

OF_SOCKETS: tuple[SocketFault, ...] = (
    *(sockets.UpgradeRefused(), sockets.UpgradeHangs(), sockets.Subprotocol()),
    *(sockets.WrongAccept(), sockets.Unauthorized(), sockets.Dropped(), sockets.NoAnswer()),
    *(sockets.LateAnswer(), sockets.ErrorAnswer(), sockets.UnknownRequestId()),
    *(sockets.WithoutToken(), sockets.WithToken("no token"), sockets.NestedToken()),
    *(sockets.ListAnswer(), sockets.WideMaps(), sockets.OthersFirst(), sockets.Garbage()),
    *(sockets.Fragments(), sockets.PingFirst(), sockets.HugeAnswer(100_000)),
    sockets.Repeated(b"\x89\0"),
)
_LIMITS = relay.Limits(connect=3, mint=3, stall=3, answer=3, answer_bytes=65_536, concurrency=20)
_PAYLOAD = 2_000_000  # bytes: more than the buffers of a connection hold
_MOST_ROWS = 3  # connections of a drawing
_STYLE = """\
<style>
.drawing { overflow-x: auto; }
.drawing svg { max-width: none; }
.drawing text { fill: currentColor; font: 11px monospace; }
.drawing line { stroke: #8888; }
.drawing circle { fill: currentColor; }
.drawing .connection, .key .connection { color: #888; }
.drawing .request, .key .request { color: #2f6fde; }
.drawing .answer, .key .answer { color: #2e8b57; }
.drawing .other, .key .other { color: #d9822b; }
.legend { display: none; }
</style>
"""


def page() -> str:
    """The page, with the timeline of a deploy to a node with each fault."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# Faults\n"
    yield _STYLE
    yield (
        "Each fault, with what a node with this fault saw of a deploy by the reference relay. The "
        "build of this page deployed, with limits of three seconds. A row is a connection. "
        "[Test your code](testing.md) says how to give a node a fault; in Python, the value of an "
        "`answer` is an `Answer`.\n"
    )
    key = (f'<span class="{part.name.lower()}">● {part.value}</span>' for part in Part)
    yield f'<p class="key">{" ".join(key)}</p>\n'
    with FakeCluster() as cluster, tempfile.TemporaryDirectory() as directory:
        for text in (text for group in EXAMPLES.values() for text in group):
            cluster.peer(text, fault=parse_fault(text))
        for fault in OF_SOCKETS:
            peer = cluster.peer(type(fault).__name__)
            cluster.replication(peer, fault=fault)
        payload = stage_payload(Path(directory) / "package.tar.gz", _PAYLOAD).path
        report = asyncio.run(_deploy(cluster, payload))
        records = {record["node"]: record for record in report.records}
        for title, group in EXAMPLES.items():
            yield f"## {title}\n"
            for text in group:
                yield from _fault(text, parse_fault(text))
                yield from _seen(cluster, text, records[text])
        yield "## Only in Python\n"
        yield from (f"### {it.__name__}\n\n{_documentation(it)}\n" for it in ONLY_PYTHON)
        yield "## At the replication socket\n"
        for fault in OF_SOCKETS:
            name = type(fault).__name__
            yield f"### {name}\n\n{_documentation(type(fault))}\n"
            yield from _seen(cluster, name, records[name])


def drawn() -> set[type]:
    """The classes of the faults on the page."""
    texts = (text for group in EXAMPLES.values() for text in group)
    return {*map(type, map(parse_fault, texts)), *map(type, OF_SOCKETS), *ONLY_PYTHON}


async def _deploy(cluster: FakeCluster, payload: Path) -> relay.Report:
    of = {at.node.name: at.url for at in cluster.sockets}
    nodes = [
        relay.Node(
            peer.name,
            peer.url,
            replication_url=of.get(peer.name),
            mint=relay.ReplicationMint()
            if peer.name in of
            else relay.OperationsMint(peer.username, peer.password),
        )
        for peer in cluster
    ]
    return await relay.deploy(
        nodes,
        {"operation": "deploy_component", "project": "demo"},
        payload,
        tls=relay.Tls(cluster.ca_file),
        limits=_LIMITS,
        retry=relay.Retry(2, first_delay=0.1),
        threads=1,
    )


def _fault(text: str, fault: Any) -> Iterator[str]:
    form = next((it for it in fault_names() if it.partition(":")[0] == text.partition(":")[0]), "")
    if text.startswith(("Sometimes", "Matching")) or "," in text:
        kind = "FAULT" if "," in text else text.partition(":")[0]
        form = next(it for it in wrapper_names() if it.startswith(kind))
    yield f"### {'in turn' if ',' in text else text.partition(':')[0]}\n"
    yield f"{_documentation(type(fault))}\n"
    yield f"On a command line: `{form}`. Drawn: `{text}`.\n"


def _documentation(kind: type) -> str:
    """The docstring of a fault as Markdown: its attributes become a list."""
    text = inspect.cleandoc(kind.__doc__ or "")
    text = text.replace("Attributes:\n", "")
    return re.sub(r"^ {4}(\w+): ", r"- `\1`: ", text, flags=re.MULTILINE)


def _seen(cluster: FakeCluster, name: str, record: relay.Record) -> Iterator[str]:
    endpoints = [cluster[name], *(at for at in cluster.sockets if at.node is cluster[name].node)]
    seen: list[tuple[str, ConnectionWitness]] = [
        (it.title, connection) for it in endpoints for connection in it.live_connections
    ]
    shown = sorted(seen, key=lambda it: it[1].accepted_at)[:_MOST_ROWS]
    yield drawing.render(connection_timelines(shown, cluster.redacted))
    begin = min((it.accepted_at for _, it in shown), default=0.0)
    text = timeline(name, [it for _, it in shown], begin) if shown else "no connection was accepted"
    reason = f": {record['reason']}" if "reason" in record else ""
    yield "\n```text"
    yield cluster.redacted(text)
    yield f"the relay reports: {record['status']}{reason}"[:300]
    yield "```\n"
