"""More processes for one deploy, because a process sends with one core only.

Each serves a share of the nodes, in `worker.py`, and sends the events of its nodes back. A share
travels through a socket, never in arguments or files, because it holds passwords.
"""

import asyncio
import contextlib
import io
import os
import pickle
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from deploy_relay_kit.relay.children import Child, start
from deploy_relay_kit.relay.errors import InputError, RelayError
from deploy_relay_kit.relay.events import Event, track_uncertain
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.report import Record, Report, failed_record
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.upload import Upload

LENGTH_BYTES = 4  # before each pickled event
_GRACE_SECONDS = 5.0  # for a process to keep the limit of the deploy by itself
_PAYS_FROM = 256 << 20  # bytes to send; to start a process costs as much as sending these
_HOMES = {"deploy_relay_kit", "pathlib", "copyreg", "builtins"}


@dataclass(frozen=True)
class Share:
    """What one process does."""

    nodes: tuple[Node, ...]
    upload: Upload
    retry: Retry
    reach: dict[str, Any]
    """The arguments of `Reach` without `on_event`."""


def shares(whole: Share, processes: int | None) -> list[Share]:
    """Split a deploy for as many processes, or with None for as many as finish it sooner.

    Raises:
        InputError: The number is none, or a mint exists in this process only.
    """
    check_number(processes)
    limits = whole.reach.get("limits") or Limits()
    count = number(len(whole.nodes), whole.upload.payload.size, limits, processes)
    if count > 1:
        try:
            pickled(whole)
        except pickle.PicklingError as error:
            if processes is not None:
                raise InputError(f"only one process can deploy: {error}") from error
            count = 1
    if count <= 1:
        return [whole]
    if limits.concurrency is not None:
        limits = replace(limits, concurrency=limits.concurrency // count)
    reach = {**whole.reach, "limits": limits}
    return [replace(whole, nodes=whole.nodes[i::count], reach=reach) for i in range(count)]


def number(nodes: int, size: int, limits: Limits, processes: int | None) -> int:
    """How many processes deploy a payload of `size` bytes, of at most `processes`."""
    return min(
        processes or min(_cores(), size * nodes // _PAYS_FROM),
        nodes,
        limits.concurrency or nodes,
        nodes if limits.rate is None else 1,  # processes could not share it
        nodes if sys.executable else 1,
    )


def check_number(processes: int | None) -> None:
    """Raise an `InputError` if it is neither None nor a number of processes."""
    if processes is not None and (type(processes) is not int or processes < 1):
        raise InputError(f"processes must be an integer of 1 or more, not {processes!r}")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Pickler(pickle.Pickler):
    """Refuses what another process could not have, or would have a copy of: foreign objects."""

    def reducer_override(self, obj: object, /) -> Any:
        home = str(getattr(obj, "__module__", type(obj).__module__))
        if home.partition(".")[0] not in _HOMES:
            raise pickle.PicklingError(f"a {type(obj).__name__} of {home} stays in its process")
        return NotImplemented


def pickled(share: Share) -> bytes:
    """The bytes of a share, for another process.

    Raises:
        pickle.PicklingError: It holds an object that is not of the kit, such as a mint.
    """
    buffer = io.BytesIO()
    _Pickler(buffer).dump(share)
    return buffer.getvalue()


async def serve(share: Share, on_event: Callable[[Event], None]) -> Report:
    """Serve the nodes of a share in a process of their own; cancelling it ends the process.

    If the process ends too soon, or is stopped when the deploy should have ended, the nodes that it
    has not settled have failed records.

    Raises:
        OSError: It cannot be started.
    """
    child = start()
    records: dict[str, Record] = {}
    uncertain = set[str]()
    total = (share.reach.get("limits") or Limits()).total
    reason = ""
    try:
        async with asyncio.timeout(None if total is None else total + _GRACE_SECONDS):
            async for event in _events(child, share):
                if event.name == "settled":
                    records[event.node] = event.data["record"]
                track_uncertain(event, uncertain)
                on_event(event)
    except TimeoutError:
        reason = f"the deploy did not end in {total:g} s"
    finally:
        code = await child.end()
    reason = reason or f"the process that served this node ended with code {code}"
    for node in share.nodes:
        if node.name not in records:
            failure = RelayError("upload", reason, uncertain=node.name in uncertain)
            records[node.name] = failed_record(node.name, [failure])
            on_event(Event(node.name, "settled", {"record": records[node.name]}))
    return Report([records[node.name] for node in share.nodes])


async def _events(child: Child, share: Share) -> AsyncIterator[Event]:
    """Send the share, and yield what comes back until the process closes its end."""
    reader, writer = await asyncio.open_connection(sock=child.channel)
    try:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(pickled(share))
            await writer.drain()
            while True:
                size = int.from_bytes(await reader.readexactly(LENGTH_BYTES))
                yield pickle.loads(await reader.readexactly(size))  # noqa: S301  it is our own
    finally:
        writer.close()
