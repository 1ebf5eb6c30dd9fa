"""One deploy: check, receive, unpack, swap, fan out, answer (SEQ-01…12)."""

import asyncio
import contextlib
import logging
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import FanOut, Reach, deploy
from deploy_relay_kit.relay.origin.answer import answer_of
from deploy_relay_kit.relay.origin.config import Config
from deploy_relay_kit.relay.origin.local import commands
from deploy_relay_kit.relay.origin.local.builds import Builds
from deploy_relay_kit.relay.origin.others import Look, Others, differing_from, everywhere, looked
from deploy_relay_kit.relay.origin.record.journal import Journal, Row, now
from deploy_relay_kit.relay.origin.record.progress import Progress
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.origin.restarting import Restarts
from deploy_relay_kit.relay.origin.wire import fields
from deploy_relay_kit.relay.origin.wire.intake import Form, receive
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.request import forwarded_fields

_LOG = logging.getLogger(__name__)
Deploying = asyncio.Task[Form | dict[str, object]]
_PAYLOAD = "payload.tar.gz"
_LAST_SECONDS = 60.0


@dataclass(frozen=True)
class _Plan:
    """A deploy that was checked; without others if it stays on this node."""

    project: str
    given: Mapping[str, object]
    others: Others | None


class Deploys:
    """All deploys of one node.

    Two locks for each project, because two nodes may deploy one project at the same time and send
    it to each other. A deploy from another node waits for a swap, never for a fan-out.
    """

    def __init__(self, settings: Config, builds: Builds, look: Look, restarts: Restarts) -> None:
        """Open the record; raise OSError if it cannot be used."""
        self._config, self._builds, self._look = settings, builds, look
        self._restarts = restarts
        self._journal = Journal(settings.directory, settings.name)
        self._running: dict[str, Progress] = {}
        self._tasks: set[Deploying] = set()
        self._swaps: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fan_outs: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sent: dict[str, str] = {}  # the newest build of a project that this node fanned out

    def begin(
        self, blocks: AsyncIterator[bytes], boundary: str, user: str, *, is_watched: bool
    ) -> tuple[Progress, Deploying]:
        """Receive a form and deploy its file, as a task that nobody who waits for it can stop.

        Its result is the answer, or the form if it has no file. It raises RefusalError if the
        deploy failed, or was refused before its file was read.
        """
        progress = Progress(self._journal, user, is_watched=is_watched)
        self._running[progress.deployment_id] = progress
        task = asyncio.create_task(self._from_form(blocks, boundary, progress))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._end(progress))
        # Nobody waits for the result if the client went; asyncio complains unless it is read.
        task.add_done_callback(lambda it: None if it.cancelled() else it.exception() and None)
        return progress, task

    async def end(self) -> None:
        """Give the deploys under way a minute, also those whose client has gone; then stop them."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST_SECONDS)
            for task in late:
                task.cancel()

    def _end(self, progress: Progress) -> None:
        del self._running[progress.deployment_id]
        progress.end()

    async def _from_form(
        self,
        blocks: AsyncIterator[bytes],
        boundary: str,
        progress: Progress,
    ) -> Form | dict[str, object]:
        stage: list[Path] = []
        plan: list[_Plan] = []

        def begin(given: dict[str, object]) -> Path:
            if (operation := fields.operation_of(given)) != "deploy_component":
                raise RefusalError(400, f"operation {operation[:60]!r} takes no payload")
            progress.opened.set()
            plan.append(self._plan(given))
            progress.begin(plan[0].project, given.get("restart", False))
            stage.append(self._builds.stage())
            return stage[0] / _PAYLOAD

        try:
            form = await receive(blocks, boundary, begin, self._config.limits.payload_bytes)
            if not form.staged:
                return form
            progress.record(payload_hash=form.sha256, payload_size=form.size)
            return await self._deploy(plan[0], form, stage[0], progress)
        except OSError as error:
            reason = f"cannot store the deploy: {error.strerror}"
            raise self._failed(RefusalError(500, reason), progress) from None
        except RefusalError as refusal:
            raise self._failed(refusal, progress) from None
        except Exception:  # noqa: BLE001  a bug, which must also end the stream of events
            _LOG.exception("a deploy failed")
            reason = "internal error; see the log of the node"
            raise self._failed(RefusalError(500, reason), progress) from None
        finally:
            for path in stage:
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

    @staticmethod
    def _failed(refusal: RefusalError, progress: Progress) -> RefusalError:
        """Record a failure, and add to it how far the deploy came (DEP-13)."""
        progress.record(status="failed", completed_at=now(), error=str(refusal))
        refusal.body |= progress.facts
        return refusal

    def row(self, given: Mapping[str, object]) -> Row:
        """The record of a deploy, and whether its build is in use on this node (TRK-05).

        Raises:
            RefusalError: There is no such deploy.
        """
        row = self._journal.get(given.get("deployment_id"))
        live = self._builds.live_id(row["project"])
        return {**row, "live": live == row["deployment_id"], "payload_blob_present": False}

    def rows(self, given: Mapping[str, object]) -> dict[str, object]:
        """The records of deploys, newest first."""
        return self._journal.list(given)

    def running(self, deployment_id: object) -> Progress | None:
        """The events of a deploy that has not ended."""
        return self._running.get(str(deployment_id))

    async def rollback(self, given: Mapping[str, object]) -> dict[str, object]:
        """Make the previous build of a project the live one; with `replicated`, on all nodes.

        Raises:
            RefusalError: There is none, or a deploy of the project is under way.
        """
        project = fields.project_of(given)
        self._check_turn(project)
        others = looked(self._look) if given.get("replicated") is True else None
        records: list[Record] | None = None
        differing: list[str] = []
        async with self._fan_out_of(project, others):
            async with self._swaps[project]:
                build = await asyncio.to_thread(self._rolled_back, project)
            payload_hash = (self._journal.find(build) or {}).get("payload_hash")
            facts = {"deployment_id": build, "payload_hash": payload_hash}
            if others is not None:
                records = await everywhere(others, given)
                # A deploy of another node may have passed some nodes already, and not yet others.
                differing = await differing_from(payload_hash, others, records)
                differing += self._overtaken(project, build)
        message = f"Rolled back: {project}"
        return answer_of("rolled back", message, given, facts, records, differing=differing)

    def _rolled_back(self, project: str) -> str:
        try:
            build = self._builds.rollback(project)
        except OSError as error:
            raise RefusalError(500, f"cannot roll back: {error.strerror}") from None
        if build is None:
            raise RefusalError(404, f"no previous build of {project!r}")
        return build

    def _fan_out_of(
        self, project: str, others: Others | None
    ) -> AbstractAsyncContextManager[object]:
        return contextlib.nullcontext() if others is None else self._fan_outs[project]

    def _overtaken(self, project: str, build_id: str) -> list[str]:
        is_live = self._builds.live_id(project) == build_id
        return [] if is_live else ["this node (another deploy reached it)"]

    def _plan(self, given: Mapping[str, object]) -> _Plan:
        """Find every mistake before the payload is read."""
        project = fields.check_deploy(given)
        if given.get("restart", False) is not False:
            self._restarts.check()
        self._check_turn(project)
        if not fields.fans_out(given):
            return _Plan(project, given, None)
        try:
            forwarded_fields(given)
            others = looked(self._look)
            FanOut(others.nodes, **others.reach)
        except InputError as error:
            raise RefusalError(400, str(error)) from None
        return _Plan(project, given, others)

    def _check_turn(self, project: str) -> None:
        is_busy = self._swaps[project].locked() or self._fan_outs[project].locked()
        if is_busy and not self._config.wait_for_project:
            raise RefusalError(409, f"another deploy of {project!r} is under way")

    async def _deploy(
        self, plan: _Plan, form: Form, stage: Path, progress: Progress
    ) -> dict[str, object]:
        project = plan.project
        facts = {"deployment_id": progress.deployment_id, "payload_hash": form.sha256}
        records = not_restarted = None
        differing: list[str] = []
        async with self._fan_out_of(project, plan.others):
            async with self._swaps[project]:
                is_foreign = self._builds.live_id(project) != self._sent.get(project)
                with progress.during("prepare"):
                    await self._swap(project, stage, progress)
            if plan.others is not None:
                self._sent[project] = progress.deployment_id
                with progress.during("replicate"):
                    records = await self._replicate(plan, plan.others, stage / _PAYLOAD, progress)
                    if is_foreign:  # whose fan-out may still go on: the last to end finds it out
                        differing = await differing_from(form.sha256, plan.others, records)
                differing += self._overtaken(project, progress.deployment_id)
            if plan.given.get("restart") is True:
                async with self._swaps[project]:
                    not_restarted = await self._restarts.here(self._builds.live(project), progress)
            elif plan.given.get("restart") == "rolling":
                took = [it["node"] for it in records or [] if it["status"] == "success"]
                facts["restartJobId"] = self._restarts.rolling(plan.others, took)  # DEP-12
        answer = answer_of(
            "deployed",
            f"Successfully deployed: {project}",
            plan.given,
            facts,
            records,
            not_restarted=not_restarted,
            differing=differing,
        )
        progress.emit("phase", {"phase": "success", "status": "done"})
        progress.record(status="success", completed_at=now())
        return answer

    async def _swap(self, project: str, stage: Path, progress: Progress) -> None:
        build = await asyncio.to_thread(self._builds.prepare, stage / _PAYLOAD, stage)
        if self._config.on_deploy:
            limit = self._config.limits.command
            progress.record(status="installing")
            await commands.run(self._config.on_deploy, build, limit, progress.install)
        await asyncio.to_thread(self._builds.swap, project, build, progress.deployment_id)

    async def _replicate(
        self, plan: _Plan, others: Others, payload: Path, progress: Progress
    ) -> list[Record]:
        def listen(event: Event) -> None:
            if event.name == "settled":
                progress.emit("peer", event.data["record"])  # SSE-08
            else:
                data = {"node": event.node, "event": event.name, "data": event.data}
                progress.emit("replicate", data)  # SSE-19

        given = dict(plan.given)
        if given.get("restart") == "rolling":
            given["restart"] = False  # FLD-06
        reach = others.reach | Reach(on_event=listen)
        ask = progress.is_watched
        try:
            report = await deploy(
                others.nodes, given, payload, retry=others.retry, ask_for_events=ask, **reach
            )
        except InputError as error:
            raise RefusalError(500, f"deployed here, not replicated: {error}") from None
        return report.records
