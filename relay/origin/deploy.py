"""One deploy: check, receive, unpack, swap, fan out, answer (SEQ-01…12); and the way back."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.events import Event
from deploy_relay_kit.relay.fanout import Reach, deploy
from deploy_relay_kit.relay.origin.answers import RefusalError, answer_of
from deploy_relay_kit.relay.origin.home import Home
from deploy_relay_kit.relay.origin.local import commands
from deploy_relay_kit.relay.origin.others import Others, differing_from, everywhere, looked
from deploy_relay_kit.relay.origin.record.progress import Progress
from deploy_relay_kit.relay.origin.restarting import Restarts
from deploy_relay_kit.relay.origin.wire import fields
from deploy_relay_kit.relay.origin.wire.intake import Form, receive
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.request import forwarded_fields

Deploying = asyncio.Task[Form | dict[str, object]]


@dataclass(frozen=True)
class _Plan:
    """A deploy that was checked; without others if it stays on this node."""

    project: str
    given: Mapping[str, object]
    others: Others | None
    stage: Path

    @property
    def payload(self) -> Path:
        return self.stage / "payload.tar.gz"


class Deploys:
    def __init__(self, home: Home, restarts: Restarts) -> None:
        self._home, self._restarts = home, restarts
        self.running: dict[str, Progress] = {}
        self._sent: dict[str, str] = {}  # the newest build of a project that this node fanned out

    def begin(
        self, blocks: AsyncIterator[bytes], boundary: str, user: str, *, is_watched: bool
    ) -> tuple[Progress, Deploying]:
        """Receive a form and deploy its file, as a task that nobody who waits for it can stop.

        Its result is the answer, or the form if it has no file. It raises RefusalError only.
        """
        progress = Progress(self._home.journal, user, is_watched=is_watched)
        task = self._home.keep(self._from_form(blocks, boundary, progress))
        self.running[progress.deployment_id] = progress
        task.add_done_callback(lambda _: self.running.pop(progress.deployment_id).end())
        return progress, task

    async def _from_form(
        self, blocks: AsyncIterator[bytes], boundary: str, progress: Progress
    ) -> Form | dict[str, object]:
        plan: _Plan | None = None
        async with contextlib.AsyncExitStack() as stack:

            def begin(given: dict[str, object]) -> Path:
                nonlocal plan
                if (operation := fields.operation_of(given)) != "deploy_component":
                    raise RefusalError(400, f"operation {operation[:60]!r} takes no payload")
                progress.opened.set_result(True)
                plan = self._plan(given, progress, stack)
                return plan.payload

            most = self._home.config.limits.payload_bytes
            with progress.recorded("store the deploy"):
                form = await receive(blocks, boundary, begin, most)
                if plan is None:
                    return form
                progress.record(payload_hash=form.sha256, payload_size=form.size)
                return await self._deploy(plan, form.sha256, progress)

    def _plan(
        self, given: Mapping[str, object], progress: Progress, stack: contextlib.AsyncExitStack
    ) -> _Plan:
        """Find every mistake before the payload is read; then the deploy has a record."""
        project = fields.check_deploy(given)
        restart = given.get("restart", False)
        if restart is not False:
            self._restarts.check()
        others = None
        if fields.fans_out(given):
            forwarded_fields(given)
            others = looked(self._home.look)
        stack.enter_context(self._home.turns.claim(project))
        progress.begin(project, restart_mode=str(restart).lower())
        stage = self._home.builds.stage()
        stack.push_async_callback(asyncio.to_thread, shutil.rmtree, stage, ignore_errors=True)
        return _Plan(project, given, others, stage)

    async def _deploy(
        self, plan: _Plan, payload_hash: str, progress: Progress
    ) -> dict[str, object]:
        project, home = plan.project, self._home
        facts = {"deployment_id": progress.deployment_id, "payload_hash": payload_hash}
        records = not_restarted = None
        differing: list[str] = []
        async with home.turns.to_fan_out(project, plan.others):
            async with home.turns.to_swap(project):
                is_foreign = home.builds.live_id(project) != self._sent.get(project)
                with progress.during("prepare"):
                    await self._swap(plan, progress)
            if plan.others is not None:
                self._sent[project] = progress.deployment_id
                with progress.during("replicate"):
                    records = await self._replicate(plan, plan.others, plan.payload, progress)
                    if is_foreign:  # whose fan-out may still go on: the last to end finds it out
                        differing = await differing_from(payload_hash, plan.others, records)
                differing += home.overtaken(project, progress.deployment_id)
            if plan.given.get("restart") is True:
                async with home.turns.to_swap(project):
                    not_restarted = await self._restarts.here(home.builds.live(project), progress)
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
        return answer

    async def _swap(self, plan: _Plan, progress: Progress) -> None:
        builds, config = self._home.builds, self._home.config
        build = await asyncio.to_thread(builds.prepare, plan.payload, plan.stage)
        if config.on_deploy:
            progress.record(status="installing")
            tell = partial(progress.emit, "install")
            await commands.run(config.on_deploy, build, config.limits.command, tell)
        await asyncio.to_thread(builds.swap, plan.project, build, progress.deployment_id)

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


async def roll_back(home: Home, given: Mapping[str, object], user: str) -> dict[str, object]:
    """Make the previous build of a project the live one; with `replicated`, on all nodes."""
    project = fields.project_of(given)
    others = home.look() if given.get("replicated") is True else None
    records: list[Record] | None = None
    differing: list[str] = []
    progress = Progress(home.journal, user)
    with home.turns.claim(project), progress.recorded("roll back"):
        async with home.turns.to_fan_out(project, others):
            async with home.turns.to_swap(project):
                if (build := home.builds.previous_id(project)) is None:
                    raise RefusalError(404, f"no previous build of {project!r}")
                payload_hash = (home.journal.find(build) or {}).get("payload_hash")
                progress.begin(project, rollback_of=build, payload_hash=payload_hash)
                await asyncio.to_thread(home.builds.rollback, project)
            if others is not None:
                with progress.during("replicate"):
                    operation = {"operation": "rollback_component", "project": project}
                    records = await everywhere(others, operation)
                    for record in records:
                        progress.emit("peer", record)
                    # A deploy of another node may have passed some nodes already, and not others.
                    differing = await differing_from(payload_hash, others, records)
                    differing += home.overtaken(project, build)
        message = f"Rolled back: {project}"
        facts = {"deployment_id": progress.deployment_id, "payload_hash": payload_hash}
        return answer_of("rolled back", message, given, facts, records, differing=differing)
