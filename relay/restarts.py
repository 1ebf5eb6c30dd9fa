"""Restarting every node after a deploy, all at once or one after another (RST-01, RST-02)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Unpack

from relay.answer import readable
from relay.errors import AttemptError, PeerError
from relay.fanout import FanOut, Reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relay.access import Access
    from relay.node import Node
    from relay.report import Report

_POLL_SECONDS = 0.25
_UNAUTHORIZED = 401


class _NotRestartedError(PeerError):
    """The node was to restart and has not; a rolling restart goes no further."""


async def restart(
    nodes: Iterable[Node],
    *,
    rolling: bool = False,
    **reach: Unpack[Reach],
) -> Report:
    """Restart the HTTP service of every node, and wait until each one's job has ended.

    Rolling, a node that cannot be reached is noted and skipped, and one that has not restarted ends
    the run: the nodes after it are left as they are, with a failed record that says so (RST-02).

    Args:
        nodes: Which nodes, in the order of the records, and of a rolling restart.
        rolling: One after another; by default all at once.
        **reach: As of `deploy`; `Limits.restart` is how long one node may take.

    Raises:
        InputError: The call makes no sense; nothing was sent.
    """
    fan = FanOut(nodes, last_event="restarted", in_turn=rolling, **reach)
    stopped: list[str] = []

    async def work(access: Access) -> Mapping[str, object]:
        if rolling and stopped:
            reason = f"not restarted, because the restart of {stopped[0]} failed"
            raise PeerError("resolve", reason)
        try:
            return await _restart_one(access)
        except _NotRestartedError:
            stopped.append(access.peer.node.name)
            raise

    return await fan.run(work)


async def _restart_one(access: Access) -> Mapping[str, object]:
    """Start the job, and poll it to its end."""
    access.tell("restarting", {})
    limit = access.connections.limits.restart
    token = await access.token()

    async def told(**request: object) -> Mapping[str, object]:
        return await access.connections.ask(access.peer, request, token=token)

    try:
        async with asyncio.timeout(limit):
            started = await told(operation="restart_service", service="http", replicated=False)
            job, renewed = started.get("job_id"), False
            while job is not None:
                await asyncio.sleep(_POLL_SECONDS)
                try:
                    token = token or await access.token()
                    state = _job_in(await told(operation="get_job", id=job))
                except AttemptError as failure:
                    if failure.status_code == _UNAUTHORIZED and not renewed:
                        token, renewed = "", True  # the job outlived the last one
                    elif failure.status_code is not None and not failure.retryable:
                        raise
                    continue  # a node that restarts is away for a moment, or its proxy says so
                renewed = False
                if state.get("status") == "ERROR":
                    message = state.get("message")
                    reason = "the restart failed" if message in (None, "") else readable(message)
                    raise _NotRestartedError("answer", reason)
                if state.get("status") == "COMPLETE":
                    break
    except TimeoutError as error:
        reason = f"not restarted in {limit:g} s"
        raise _NotRestartedError("answer", reason, uncertain=True) from error
    return started


def _job_in(members: Mapping[str, object]) -> Mapping[str, object]:
    """The job in the answer of `get_job`, which may be a list that holds it."""
    found = members.get("result", members)
    if isinstance(found, list):
        found = found[0] if found else {}
    return found if isinstance(found, dict) else {}
