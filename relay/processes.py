"""More processes for one deploy, because a process sends with one core only.

Each serves a share of the nodes, in `worker.py`, and sends the events of its nodes back. A share
travels through pipes, never in arguments or files, because it holds passwords.
"""

import asyncio
import contextlib
import io
import os
import pickle
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from deploy_relay_kit.relay.connection import CLOSE_SECONDS
from deploy_relay_kit.relay.errors import InputError, RelayError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.report import Record, Report, failed_record
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.upload import Upload

LENGTH_BYTES = 4  # before each pickled event
_PAYS_FROM = 256 << 20  # bytes to send; to start a process costs as much as sending these
_HOMES = {"deploy_relay_kit", "pathlib", "copyreg", "builtins"}
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from deploy_relay_kit.relay.worker import main; main()"
)
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


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
    count = min(
        processes or min(_cores(), whole.upload.payload.size * len(whole.nodes) // _PAYS_FROM),
        len(whole.nodes),
        limits.concurrency or len(whole.nodes),
        len(whole.nodes) if limits.rate is None else 1,  # processes could not share it
    )
    if count > 1:
        try:
            pickled(whole)
        except pickle.PicklingError as error:
            if processes is not None:
                raise InputError(f"only one process can deploy: {error}") from error
            count = 1
    if count <= 1 or not sys.executable:
        return [whole]
    if limits.concurrency is not None:
        limits = replace(limits, concurrency=limits.concurrency // count)
    reach = {**whole.reach, "limits": limits}
    return [replace(whole, nodes=whole.nodes[i::count], reach=reach) for i in range(count)]


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

    If the process ends too soon, the nodes that it has not settled have failed records.

    Raises:
        OSError: It cannot be started.
    """
    with _signals_blocked():  # it ends with its pipe, after its connections
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", _START, stdin=PIPE, stdout=PIPE
        )
    records: dict[str, Record] = {}
    try:
        async for event in _events(process, share):
            if event.name == "settled":
                records[event.node] = event.data["record"]
            on_event(event)
    finally:
        code = await _end(process)
    for node in share.nodes:
        if node.name not in records:
            reason = f"the process that served this node ended with code {code}"
            failure = RelayError("upload", reason, uncertain=True)
            records[node.name] = failed_record(node.name, [failure])
            on_event(Event(node.name, "settled", {"record": records[node.name]}))
    return Report([records[node.name] for node in share.nodes])


class _Blocked(threading.local):
    """How many processes are being started by this thread, and its mask before the first."""

    starts = 0
    before: Collection[int] = ()


_blocked = _Blocked()


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """A process that is started meanwhile never gets them, and its parent gets them afterwards.

    Several are started at once, so only the last one to be there brings back the thread's mask.
    """
    if _blocked.starts == 0:
        _blocked.before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    _blocked.starts += 1
    try:
        yield
    finally:
        _blocked.starts -= 1
        if _blocked.starts == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, _blocked.before)


async def _events(process: Process, share: Share) -> AsyncIterator[Event]:
    """Send the share, and yield what comes back until the process closes its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(pickle.dumps(sys.path) + pickled(share))
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await process.stdin.drain()
        while True:
            size = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES))
            yield pickle.loads(await process.stdout.readexactly(size))  # noqa: S301  it is our own


async def _end(process: Process) -> int:
    """Close the pipe, which ends the process, and wait for that; its exit code."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(2 * CLOSE_SECONDS):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
