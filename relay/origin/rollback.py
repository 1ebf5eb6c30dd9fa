"""Back to the previous build of a project, on this node or on all."""

import asyncio
from collections.abc import Mapping

from deploy_relay_kit.relay.origin.home import Home
from deploy_relay_kit.relay.origin.others import differing_from, everywhere
from deploy_relay_kit.relay.origin.record.progress import Progress
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.origin.wire import fields
from deploy_relay_kit.relay.origin.wire.answer import answer_of
from deploy_relay_kit.relay.report import Record


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
