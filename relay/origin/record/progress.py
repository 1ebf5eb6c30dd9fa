"""What happens in one deploy, for its record and for everyone who follows it (SSE-05…13)."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deploy_relay_kit.relay.origin.answers import refusal_of
from deploy_relay_kit.relay.origin.record.journal import EventLog, Journal, bounded, now

Happening = tuple[str, Mapping[str, Any]]
"""The name and the data of an event."""

_QUEUED = 1_000  # events that a slow reader may be behind; it misses all but records after that
_STATUS = {"prepare": "extracting", "replicate": "replicating", "restart": "restarting"}


class Progress:
    """The events of one deploy. A follower that reads slowly, or goes, never slows the deploy."""

    def __init__(self, journal: Journal, user: str, *, is_watched: bool = False) -> None:
        """`is_watched`: whether other nodes are asked for their events."""
        self.is_watched = is_watched
        self.deployment_id = str(uuid.uuid4())
        self.phase = "pending"
        # Whether the operation began, so that its failure is an event (SSE-02), or ended before.
        self.opened = asyncio.get_running_loop().create_future()
        self._journal, self._user = journal, user
        self._has_row = False
        self._log = EventLog()
        self._peers: list[Mapping[str, Any]] = []
        self._followers: set[asyncio.Queue[Happening | None]] = set()

    def begin(self, project: str, **columns: object) -> None:
        """Add the row: the deploy was checked, its payload comes next."""
        known = {"deployment_id": self.deployment_id, "project": project, "user": self._user}
        self._journal.begin({**known, "phase": self.phase, **columns})
        self._has_row = True

    def record(self, **changes: object) -> None:
        if self._has_row:
            log = {"phase": self.phase, "event_log": self._log.entries()}
            peers = {"peer_results": self._peers} if self._peers else {}
            self._journal.change(self.deployment_id, {**log, **peers, **changes})

    @contextmanager
    def recorded(self, act: str) -> Iterator[None]:
        """Record how the deploy ends; any exception is a refusal that tells its phase (DEP-13)."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  also a bug must end the stream of events
            refusal = refusal_of(error, act)
            self.record(status="failed", completed_at=now(), error=str(refusal))
            if self._has_row:
                refusal.body |= {"phase": self.phase, "deployment_id": self.deployment_id}
            raise refusal from None
        self.record(status="success", completed_at=now())

    def emit(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "peer":
            self._peers.append(bounded(data))
        if data.get("event") != "sent":  # the bytes of an upload are of no interest later
            self._log.add(name, data)
        for queue in self._followers:
            if queue.qsize() < _QUEUED or name == "peer":
                queue.put_nowait((name, data))

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Tell the start and the end of a phase; a phase that fails has no end."""
        self.phase = phase
        self.emit("phase", {"phase": phase, "status": "start"})
        self.record(status=_STATUS[phase])
        yield
        self.emit("phase", {"phase": phase, "status": "done"})

    def end(self) -> None:
        """Let every follower read what it has, and no more."""
        if not self.opened.done():
            self.opened.set_result(False)
        for queue in self._followers:
            queue.put_nowait(None)

    def follow(self) -> AsyncIterator[Happening]:
        """The events so far, and those to come."""
        queue: asyncio.Queue[Happening | None] = asyncio.Queue()
        for entry in self._log.entries():
            queue.put_nowait((entry["event"], entry["data"]))
        self._followers.add(queue)
        return self._read(queue)

    async def _read(self, queue: asyncio.Queue[Happening | None]) -> AsyncIterator[Happening]:
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._followers.discard(queue)


async def replayed(event_log: Sequence[Mapping[str, Any]]) -> AsyncIterator[Happening]:
    """The events of a deploy that has ended, from its record."""
    for entry in event_log:
        yield entry["event"], entry["data"]
