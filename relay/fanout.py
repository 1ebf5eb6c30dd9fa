"""All nodes at once, each on its own, to one report (SEQ-03, AGG-01…08)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypedDict, Unpack, cast

from relay.connection import Connections, Peer
from relay.errors import AttemptError, InputError, RelayError
from relay.events import Event
from relay.limits import Limits
from relay.node import LocalSettings, Node, resolve
from relay.payload import measure
from relay.report import Record, Report, failed_record, success_record
from relay.request import forwarded_fields
from relay.retry import Retry
from relay.tls import Tls, contexts_for
from relay.token import Mint
from relay.upload import Upload, send

Work = Callable[[Peer], Awaitable[Mapping[str, object]]]
ONCE = Retry(attempts=1)


class Reach(TypedDict, total=False):
    """How nodes are reached: the keyword arguments that `deploy` and `restart` share.

    mint: How to get a token from each node that brings no way of its own (`Node.mint`).
    tls: Whom to trust, and the relay's own certificate.
    limits: Time and size limits.
    local: The origin's own ports, for nodes without a URL.
    origin: Name of the origin, which is left out should it be among the nodes (SEQ-12).
    allow_http: Allow plain http to hosts that are not loopback; the token then travels in clear
        (TLS-06).
    on_event: Called from the event loop with each `Event`; what it raises is swallowed.
    """

    mint: Mint | None
    tls: Tls | None
    limits: Limits | None
    local: LocalSettings | None
    origin: str | None
    allow_http: bool
    on_event: Callable[[Event], None] | None


async def deploy(
    nodes: Iterable[Node],
    request: Mapping[str, object],
    payload: str | os.PathLike[str],
    *,
    retry: Retry = ONCE,
    ask_for_events: bool = False,
    probe: bool = False,
    **reach: Unpack[Reach],
) -> Report:
    """Stream one staged payload to every node, all at once, and report what became of each.

    A node that fails costs its own record and nothing else. Nothing is sent to anyone before
    everything that can be checked has been. Cancelling the call closes every connection and file.

    Args:
        nodes: Where to deploy, in the order of the records.
        request: The deploy request; its `operation` is `deploy_component`. Credentials and members
            that matter only to the origin are left out, and `replicated` is sent as false
            (FLD-01…05).
        payload: Path of the staged payload, a gzipped tar file.
        retry: Which failures are tried again; by default none is (RTY-01).
        ask_for_events: Ask each peer to tell its progress (SSE-01); its phases and install lines
            then arrive at `on_event`. An answer in events is understood in any case.
        probe: Ask each peer for its version first, so that one too old gets a clear record
            (VER-01).
        **reach: `mint`, `tls`, `limits`, `local`, `origin`, `allow_http`, `on_event`; see `Reach`.

    Returns:
        The report. A URL that cannot be used or a payload that cannot be read is a failed record
        there.

    Raises:
        InputError: The call makes no sense; its text names the culprit and the remedy. Nothing was
            sent.
    """
    fan = FanOut(nodes, **reach)
    fields = forwarded_fields(request)
    try:
        staged = measure(Path(payload))
    except AttemptError as failure:
        return fan.fail(failure)
    upload = Upload(fields, staged, ask_for_events, probe)
    return await fan.run(functools.partial(send, upload), retry)


class FanOut:
    """What one piece of work needs to be done at every node, with all checked that can be."""

    def __init__(
        self,
        nodes: Iterable[Node],
        *,
        mint: Mint | None = None,
        tls: Tls | None = None,
        limits: Limits | None = None,
        local: LocalSettings | None = None,
        origin: str | None = None,
        allow_http: bool = False,
        on_event: Callable[[Event], None] | None = None,
        last_event: str = "settled",
        in_turn: bool = False,
    ) -> None:
        """`last_event`: what a record is announced as; `in_turn`: one node after another."""
        # AGG-07: fixed before anything is awaited
        others = [node for node in nodes if origin is None or node.name != origin]
        for name, count in Counter(node.name for node in others).items():
            if not name or count > 1:
                raise InputError(
                    f"{count} nodes are named {name!r}; names are unique and not empty"
                )
        limits = limits or Limits()
        self._connections = Connections(limits)
        self._on_event = on_event
        self._last_event = last_event
        self._places = asyncio.Semaphore(1 if in_turn else limits.concurrency or len(others) or 1)
        self._ways: list[tuple[str, Peer | AttemptError]] = []
        contexts = contexts_for(others, tls or Tls())
        for node, context in zip(others, contexts, strict=True):
            own = node.mint or mint
            if own is None:
                raise InputError(f"there is no way to get a token from {node.name!r}; give a mint")
            way: Peer | AttemptError
            try:
                api = resolve(node, local, allow_http=allow_http)
                way = Peer(node, api, context, own, self._connections, self._emit)
            except AttemptError as failure:
                way = failure
            self._ways.append((node.name, way))

    async def run(self, work: Work, retry: Retry = ONCE) -> Report:
        """Do the work at every node; cancelling it closes every connection."""
        async with self._connections, asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._settle(*way, work, retry)) for way in self._ways]
        return Report([task.result() for task in tasks])

    def fail(self, failure: AttemptError) -> Report:
        """The report when it fails at every node before it begins."""
        return Report([self._announced(failed_record(name, [failure])) for name, _ in self._ways])

    def _emit(self, event: Event) -> None:
        """Tell the listener; AGG-08: its trouble is its own."""
        if self._on_event is not None:
            # Nobody can cancel a call that does not wait: that exception is the listener's, too.
            with contextlib.suppress(Exception, asyncio.CancelledError):
                self._on_event(event)

    def _announced(self, record: Record) -> Record:
        self._emit(Event(str(record["node"]), self._last_event, {"record": record}))
        return record

    async def _settle(
        self, name: str, peer: Peer | AttemptError, work: Work, retry: Retry
    ) -> Record:
        """The edge of one peer: whatever happens, a record comes out (AGG-02, AGG-04)."""
        if isinstance(peer, AttemptError):
            return self._announced(failed_record(name, [peer]))
        failures: list[AttemptError] = []
        while True:
            async with self._places:  # they are given out in the order in which they are asked for
                outcome = await _attempt(work, peer)
            if not isinstance(outcome, AttemptError):
                return self._announced(success_record(name, outcome, len(failures) + 1))
            failures.append(outcome)
            wait = retry.delay(failures, random.random)
            if wait is None:
                return self._announced(failed_record(name, failures))
            peer.tell(
                "retry",
                {
                    "reason": outcome.reason,
                    "delay": wait,
                    "attempt": len(failures) + 1,
                    "uncertain": any(failure.uncertain for failure in failures),
                },
            )
            await asyncio.sleep(wait)


async def _attempt(work: Work, peer: Peer) -> Mapping[str, object] | AttemptError:
    """The members of a success, or the failure; neither holds a secret of the node."""
    failure: AttemptError
    try:
        return cast("Mapping[str, object]", peer.secrets.hide(await work(peer)))
    except AttemptError as error:
        failure = error
    except (Exception, asyncio.CancelledError) as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise  # the whole deploy is given up
        failure = RelayError("upload", f"{type(error).__name__}: {error}")
    failure.reason = peer.secrets.hide(failure.reason)
    return failure
