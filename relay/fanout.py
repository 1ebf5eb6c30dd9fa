"""All nodes at once, each on its own, to one report (SEQ-03, AGG-01…08)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from relay.connection import Connections, Peer
from relay.errors import AttemptError, InputError, RelayError
from relay.events import Event
from relay.limits import Limits
from relay.node import LocalSettings, resolve
from relay.payload import measure
from relay.report import Record, Report, failed_record, success_record
from relay.request import forwarded_fields
from relay.tls import Tls, context_for
from relay.upload import Upload, attempt

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from relay.node import Node
    from relay.token import Mint


async def deploy(
    nodes: Iterable[Node],
    request: Mapping[str, object],
    payload: str | os.PathLike[str],
    *,
    mint: Mint | None = None,
    tls: Tls | None = None,
    limits: Limits | None = None,
    local: LocalSettings | None = None,
    allow_http: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Report:
    """Stream one staged payload to every node, all at once, and report what became of each.

    A node that fails costs its own record and nothing else. Nothing is sent to anyone before
    everything that can be checked has been. Cancelling the call closes every connection and file.

    Args:
        nodes: Where to deploy, in the order of the records; the origin itself is not among them.
        request: The deploy request; its `operation` is `deploy_component`. Credentials and members
            that matter only to the origin are left out, and `replicated` is sent as false
            (FLD-01…05).
        payload: Path of the staged payload, a gzipped tar file.
        mint: How to get a token from each node that brings no way of its own (`Node.mint`).
        tls: Whom to trust, and the relay's own certificate.
        limits: Time and size limits.
        local: The origin's own ports, for nodes without a URL.
        allow_http: Allow plain http to hosts that are not loopback; the token then travels in clear
            (TLS-06).
        on_event: Called from the event loop with each event; what it raises is swallowed.

    Returns:
        The report. A URL that cannot be used or a payload that cannot be read is a failed record
        there.

    Raises:
        InputError: The call makes no sense; its text names the culprit and the remedy. Nothing was
            sent.
    """
    nodes = tuple(nodes)  # AGG-07: fixed before anything is awaited
    mints = _checked_mints(nodes, mint)
    fields = forwarded_fields(request)
    contexts = _contexts(nodes, tls or Tls())
    found: list[Peer | AttemptError] = []
    for node, context in zip(nodes, contexts, strict=True):
        try:
            found.append(Peer(node, resolve(node, local, allow_http=allow_http), context))
        except AttemptError as failure:
            found.append(failure)

    def emit(event: Event) -> None:
        if on_event is not None:
            with contextlib.suppress(Exception):  # AGG-08: a listener's trouble is its own
                on_event(event)

    def settled(node: Node, record: Record) -> Record:
        emit(Event(node.name, "settled", {"record": record}))
        return record

    try:
        upload = Upload(fields, measure(Path(payload)))
    except AttemptError as failure:
        return Report([settled(node, failed_record(node.name, failure)) for node in nodes])

    async def settle(node: Node, peer: Peer | AttemptError, mint: Mint) -> Record:
        """The edge of one peer: whatever happens, a record comes out (AGG-02, AGG-04)."""
        try:
            members = await attempt(upload, _reachable(peer), mint, connections, emit)
        except AttemptError as failure:
            return settled(node, failed_record(node.name, failure))
        except Exception as error:  # noqa: BLE001  a defect of ours costs one record only
            defect = RelayError("upload", f"{type(error).__name__}: {error}")
            return settled(node, failed_record(node.name, defect))
        return settled(node, success_record(node.name, members))

    async with Connections(limits or Limits()) as connections, asyncio.TaskGroup() as group:
        tasks = [group.create_task(settle(*each)) for each in zip(nodes, found, mints, strict=True)]
    return Report([task.result() for task in tasks])


def _reachable(peer: Peer | AttemptError) -> Peer:
    if isinstance(peer, AttemptError):
        raise peer
    return peer


def _checked_mints(nodes: Sequence[Node], mint: Mint | None) -> list[Mint]:
    counts = Counter(node.name for node in nodes)
    for name, count in counts.items():
        if not name or count > 1:
            raise InputError(f"{count} nodes are named {name!r}; names are unique and not empty")
    mints = []
    for node in nodes:
        own = node.mint or mint
        if own is None:
            raise InputError(f"there is no way to get a token from {node.name!r}; give a mint")
        mints.append(own)
    return mints


def _contexts(nodes: Sequence[Node], tls: Tls) -> list[ssl.SSLContext]:
    """One context for all nodes of the same posture: loading authorities is slow."""
    made: dict[tuple[bool, Path | None], ssl.SSLContext] = {}
    contexts = []
    for node in nodes:
        posture = (node.verify, node.ca_file)
        if posture not in made:
            made[posture] = context_for(node, tls)
        contexts.append(made[posture])
    return contexts
