"""Restarts: of this node, and of all nodes in turn, as jobs (RST-01, RST-02)."""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.origin.answers import RefusalError, refusal_of
from deploy_relay_kit.relay.origin.home import Home
from deploy_relay_kit.relay.origin.local import commands
from deploy_relay_kit.relay.origin.others import Others
from deploy_relay_kit.relay.origin.record.journal import now
from deploy_relay_kit.relay.origin.record.progress import Progress
from deploy_relay_kit.relay.restarts import restart

_KEPT = 100  # jobs
_BEGAN = "answer"  # the stage of a node that has begun to restart; others were not reached
Job = dict[str, Any]


class Restarts:
    """The restarts of one node, and its jobs, which live as long as its process."""

    def __init__(self, home: Home) -> None:
        self._config, self._look = home.config, home.look
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def check(self) -> None:
        """Refuse a restart that this node has no command for."""
        if not self._config.restart:
            raise RefusalError(400, "this node has no restart command")

    async def here(self, live: Path, progress: Progress) -> RefusalError | None:
        """Restart this node as a part of a deploy; the failure, if it failed."""
        try:
            with progress.during("restart"):
                await self._command(live, partial(progress.emit, "install"))
        except RefusalError as refusal:
            return refusal
        return None

    def begin(self, given: Mapping[str, object]) -> dict[str, object]:
        """`restart_service`: this node, or with `replicated` all nodes in turn."""
        if given.get("service") not in ("http", "http_workers"):
            raise RefusalError(400, "Invalid service")
        self.check()
        others = self._look() if given.get("replicated") is True else None
        return {"message": "Restarting http", "job_id": self.rolling(others)}

    def rolling(self, others: Others | None, only: Sequence[str] | None = None) -> str:
        """Restart the others, or `only` these, one after another, then this node; the job's id."""
        nodes = [it for it in others.nodes if only is None or it.name in only] if others else []
        job: Job = {
            "id": str(uuid.uuid4()),
            "type": "restart_service",
            "status": "IN_PROGRESS",
            "message": "",
            "start_datetime": now(),
            "end_datetime": None,
        }
        self._jobs[job["id"]] = job
        while len(self._jobs) > _KEPT:
            self._jobs.popitem(last=False)
        task = asyncio.create_task(self._run(job, nodes, others))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return str(job["id"])

    def job(self, given: Mapping[str, object]) -> list[Job]:
        """`get_job`: a list with the job, empty if it is unknown."""
        if not isinstance(wanted := given.get("id"), str) or not wanted:
            raise RefusalError(400, "'id' is required")
        return [self._jobs[wanted]] if wanted in self._jobs else []

    async def _roll(self, job: Job, nodes: Sequence[Node], others: Others | None) -> None:
        skipped: list[str] = []
        if others is not None and nodes:
            records = (await restart(nodes, rolling=True, **others.reach)).records
            job["replicated"] = records
            failed = [it for it in records if it["status"] != "success"]
            for record in failed:
                if record["stage"] == _BEGAN or record.get("uncertain"):
                    raise RefusalError(500, f"{record['node']}: {record['reason']}")
            skipped = [f"{it['node']} ({it['reason']})" for it in failed]
        async with self._turn:
            await self._command(self._config.directory, lambda _: None)
        job["message"] = "Restarted" + (f"; skipped: {', '.join(skipped)}" if skipped else "")

    async def _command(self, directory: Path, on_line: Callable[[commands.Line], None]) -> None:
        await commands.run(self._config.restart, directory, self._config.limits.command, on_line)

    async def _run(self, job: Job, nodes: Sequence[Node], others: Others | None) -> None:
        try:
            await self._roll(job, nodes, others)
            job["status"] = "COMPLETE"
        except Exception as error:  # noqa: BLE001  also a bug must end the job
            job |= {"status": "ERROR", "message": str(refusal_of(error, "restart"))}
        finally:
            job["end_datetime"] = now()
