"""What the parts of one node share: its configuration, builds, record, and turns."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Mapping
from typing import TypeVar

from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import Config
from deploy_relay_kit.relay.origin.local.builds import Builds
from deploy_relay_kit.relay.origin.others import Look, Others
from deploy_relay_kit.relay.origin.record.journal import Journal, Row

T = TypeVar("T")
_LAST_SECONDS = 60.0


class Turns:
    """Whose turn it is to deploy a project, or to roll it back.

    Two nodes may deploy one project at the same time and send it to each other. So what comes from
    another node waits for a swap, never for a fan-out.
    """

    def __init__(self, *, may_wait: bool) -> None:
        self._may_wait = may_wait
        self._claimed: set[str] = set()
        self._swaps: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fan_outs: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @contextlib.contextmanager
    def claim(self, project: str) -> Iterator[None]:
        """Refuse, before its payload is read, what would have to wait and may not."""
        if project in self._claimed and not self._may_wait:
            raise RefusalError(409, f"another deploy of {project!r} is under way")
        self._claimed.add(project)
        try:
            yield
        finally:
            self._claimed.discard(project)

    def to_swap(self, project: str) -> asyncio.Lock:
        return self._swaps[project]

    def to_fan_out(self, project: str, others: Others | None) -> asyncio.Lock:
        return asyncio.Lock() if others is None else self._fan_outs[project]


class Home:
    """One node's own: nothing of a request."""

    def __init__(self, config: Config, look: Look) -> None:
        """Raise InputError if the directory cannot be used, or another node uses it."""
        self.config, self.look = config, look
        self.builds = Builds(config.directory, config.limits, unpack=config.unpack)
        self.journal = Journal(config.directory, config.name)
        self.turns = Turns(may_wait=config.wait_for_project)
        self._tasks: set[asyncio.Task[object]] = set()

    def keep(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """A deploy or a rollback as a task, which goes on when its client has gone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio complains of one that nobody reads, as if the client went

    async def end(self) -> None:
        """Give what is under way a minute, or until this is cancelled; then stop it."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()

    def row(self, given: Mapping[str, object]) -> Row:
        """The record of a deploy, and whether its build is in use on this node (TRK-05)."""
        row = self.journal.get(given.get("deployment_id"))
        build = row["rollback_of"] or row["deployment_id"]
        is_live = self.builds.live_id(row["project"]) == build
        return {**row, "live": is_live, "payload_blob_present": False}

    def overtaken(self, project: str, build_id: str) -> list[str]:
        """This node, with the reason, if it uses another build by now (BUG-42)."""
        is_live = self.builds.live_id(project) == build_id
        return [] if is_live else ["this node (another deploy reached it)"]
