"""More event loops for one deploy, each in a thread, because one loop sends with one core only.

OpenSSL and the socket work while another thread holds Python's lock, so threads scale as far as the
Python between two blocks lets them: to several times the speed of one loop.
"""

import asyncio
import contextlib
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.report import Report
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.token import GivenToken, OperationsMint
from deploy_relay_kit.relay.upload import Upload

_PAYS_FROM = 32 << 20  # bytes to send for each thread
_LEAST = 8
"""As many threads pay on few cores, too: with two of them, and two threads, a deploy to eight nodes
took an eighth longer, because the system has less to choose from when a thread waits."""
_MOST_EVENTS = 1_000  # that a thread is ahead of the listener
_OF_ANY_LOOP = {GivenToken, OperationsMint, ReplicationMint}

Listener = Callable[[Event], None] | None
Work = Callable[[Listener], Coroutine[object, object, Report]]


@dataclass(frozen=True)
class Share:
    """What one thread does."""

    nodes: tuple[Node, ...]
    upload: Upload
    retry: Retry
    reach: dict[str, Any]
    """The arguments of `Reach` without `on_event`."""


def shares(whole: Share, threads: int | None) -> list[Share]:
    """Split a deploy for as many threads, or with None for as many as finish it sooner.

    Raises:
        InputError: The number is none, or a mint may belong to the event loop of the caller.
    """
    check_number(threads)
    limits = whole.reach.get("limits") or Limits()
    to_send = whole.upload.payload.size * len(whole.nodes)
    count = min(
        threads or min(max(_cores(), _LEAST), to_send // _PAYS_FROM),
        len(whole.nodes),
        limits.concurrency or len(whole.nodes),
        len(whole.nodes) if limits.rate is None else 1,  # it is that of all nodes together
    )
    mints = [whole.reach.get("mint") if node.mint is None else node.mint for node in whole.nodes]
    if own := [mint for mint in mints if type(mint) not in _OF_ANY_LOOP]:
        if threads is not None and count > 1:
            kind = type(own[0]).__name__
            raise InputError(f"threads must be 1 with a mint of your own ({kind}), not {threads}")
        count = 1
    if count <= 1:
        return [whole]
    if limits.concurrency is not None:
        limits = replace(limits, concurrency=limits.concurrency // count)
    reach = {**whole.reach, "limits": limits}
    return [replace(whole, nodes=whole.nodes[i::count], reach=reach) for i in range(count)]


def check_number(threads: int | None) -> None:
    """Raise an `InputError` if it is neither None nor a number of threads."""
    if threads is not None and (type(threads) is not int or threads < 1):
        raise InputError(f"threads must be an integer of 1 or more, not {threads!r}")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def in_thread(work: Work, listener: Listener) -> Report:
    """Do the work in a thread and an event loop of its own; cancelling it cancels the work.

    The listener is called in this loop, with the events in their order. If the machine has no
    thread or descriptor left, this loop does the work.
    """
    thread = _Thread(work, listener)
    try:
        thread.start()
    except RuntimeError:
        return await work(listener)
    try:
        await asyncio.shield(thread.ended)
    except asyncio.CancelledError:
        thread.cancel()
        await asyncio.shield(thread.ended)
        raise
    finally:
        if thread.ended.done():
            thread.join()  # it has nothing left to do
    if thread.outcome is None:
        return await work(listener)
    if isinstance(thread.outcome, BaseException):
        raise thread.outcome
    return thread.outcome


class _Thread(threading.Thread):
    def __init__(self, work: Work, listener: Listener) -> None:
        super().__init__(name="deploy", daemon=True)
        self.outcome: Report | BaseException | None = None  # None: the work has not begun
        self._caller = asyncio.get_running_loop()
        self.ended = self._caller.create_future()
        """Of the caller's loop; the outcome is there then."""
        self._work = work
        self._listener = listener
        self._room = threading.Semaphore(_MOST_EVENTS)
        self._cancel: Callable[[], object] | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        self._is_cancelled = True  # before the look, because the thread does both the other way
        if self._cancel is not None:
            with contextlib.suppress(RuntimeError):  # its loop has just been closed
                self._cancel()

    def run(self) -> None:
        work = self._begin()
        try:
            self.outcome = asyncio.run(work)
        except BaseException as error:  # noqa: BLE001  the caller raises it
            self.outcome = error if self._cancel is not None else None
        finally:
            work.close()  # Python warns of one that was never begun, without a descriptor for it
        with contextlib.suppress(RuntimeError):  # the loop of the caller has been closed
            self._caller.call_soon_threadsafe(self.ended.set_result, None)

    async def _begin(self) -> Report:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
        if self._is_cancelled:
            raise asyncio.CancelledError
        return await self._work(self._tell if self._listener else None)

    def _tell(self, event: Event) -> None:
        self._room.acquire()
        with contextlib.suppress(RuntimeError):  # the loop of the caller has been closed
            self._caller.call_soon_threadsafe(self._hear, event)

    def _hear(self, event: Event) -> None:
        self._room.release()
        assert self._listener is not None
        self._listener(event)
