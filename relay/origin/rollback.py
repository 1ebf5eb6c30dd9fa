"""Back to the previous build of a project, on this node or on all."""

import asyncio
from collections.abc import Mapping

from deploy_relay_kit.relay.origin.home import Home
from deploy_relay_kit.relay.origin.others import differing_from, everywhere
from deploy_relay_kit.relay.origin.refusal import RefusalError
from deploy_relay_kit.relay.origin.wire import fields
from deploy_relay_kit.relay.origin.wire.answer import answer_of
from deploy_relay_kit.relay.report import Record


async def roll_back(home: Home, given: Mapping[str, object]) -> dict[str, object]:
    """Make the previous build of a project the live one; with `replicated`, on all nodes.

    Raises:
        RefusalError: There is none, a deploy of the project is under way, or the nodes may hold
            different builds (BUG-42).
        OSError: The disk refuses.
    """
    project = fields.project_of(given)
    home.turns.check(project)
    others = home.look() if given.get("replicated") is True else None
    records: list[Record] | None = None
    differing: list[str] = []
    async with home.turns.to_fan_out(project, others):
        async with home.turns.to_swap(project):
            build = await asyncio.to_thread(home.builds.rollback, project)
        if build is None:
            raise RefusalError(404, f"no previous build of {project!r}")
        payload_hash = (home.journal.find(build) or {}).get("payload_hash")
        if others is not None:
            records = await everywhere(others, given)
            # A deploy of another node may have passed some nodes already, and not yet others.
            differing = await differing_from(payload_hash, others, records)
            differing += home.overtaken(project, build)
    message = f"Rolled back: {project}"
    facts = {"deployment_id": build, "payload_hash": payload_hash}
    return answer_of("rolled back", message, given, facts, records, differing=differing)
