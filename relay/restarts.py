"""Restarting every node after a deploy, all at once or one after another (RST-01, RST-02)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Unpack

from relay.answer import GATEWAY, readable
from relay.connection import Peer
from relay.errors import AttemptError, PeerError
from relay.fanout import FanOut, Reach
from relay.node import Node
from relay.report import Report

_POLL_SECONDS = 0.25
_UNAUTHORIZED = 401
_FOR_GOOD = {"tls", "mint"}  # stages whose failures do not pass while a node restarts


class _NotRestartedError(PeerError):
    """The node was to restart and has not told that it has; a rolling restart goes no further."""


async def restart(
    nodes: Iterable[Node],
    *,
    rolling: bool = False,
    **reach: Unpack[Reach],
) -> Report:
    """Restart the HTTP service of every node, and wait until each one's job has ended.

    Rolling, a node that cannot be reached is noted and skipped, and one that may be restarting and
    does not tell how it did ends the run: the nodes after it are left as they are, with a failed
    record that says so (RST-02).

    Args:
        nodes: Which nodes, in the order of the records, and of a rolling restart.
        rolling: One after another; by default all at once.
        **reach: As of `deploy`; `Limits.restart` is how long one node may take.

    Raises:
        InputError: The call makes no sense; nothing was sent.
    """
    fan = FanOut(nodes, last_event="restarted", in_turn=rolling, **reach)
    stopped: list[str] = []

    async def work(peer: Peer) -> Mapping[str, object]:
        if rolling and stopped:
            reason = f"not restarted, because the restart of {stopped[0]} failed"
            raise PeerError("resolve", reason)
        try:
            return await _restart_one(peer)
        except PeerError as failure:
            if failure.uncertain or isinstance(failure, _NotRestartedError):
                stopped.append(peer.node.name)
            raise

    return await fan.run(work)


async def _restart_one(peer: Peer) -> Mapping[str, object]:
    """Start the job, and see it to its end."""
    peer.tell("restarting", {})
    limit = peer.connections.limits.restart
    token = await peer.token()
    request = {"operation": "restart_service", "service": "http", "replicated": False}
    trouble: list[str] = []  # of the last look at the job
    try:
        async with asyncio.timeout(limit):
            started = await _begun(peer, request, token)
            if (job := started.get("job_id")) is not None:
                await _end_of(job, peer, token, trouble)
    except TimeoutError as error:
        reason = "; ".join([f"not restarted in {limit:g} s", *trouble])
        raise _NotRestartedError("answer", reason, uncertain=True) from error
    return started


async def _begun(peer: Peer, request: Mapping[str, object], token: str) -> dict[str, object]:
    try:
        return await peer.connections.ask(peer, request, token=token)
    except PeerError as failure:
        if failure.status_code in GATEWAY:  # the node may have heard it, and restart
            failure.uncertain = True
        raise


async def _end_of(job: object, peer: Peer, token: str, trouble: list[str]) -> None:
    """Poll a job; a node that restarts may be away for a moment, or its proxy says so."""
    connections, renewed = peer.connections, False
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        try:
            token = token or await peer.token()
            async with asyncio.timeout(connections.limits.mint):
                request = {"operation": "get_job", "id": job}
                state = _job_in(await connections.ask(peer, request, token=token))
        except TimeoutError:
            continue  # it went away while it was asked
        except AttemptError as failure:
            code, reason = failure.status_code, failure.reason
            trouble[:] = [reason]
            if code == _UNAUTHORIZED and not renewed:
                token, renewed = "", True  # the job outlived the last one
            elif not failure.retryable and (code is not None or failure.stage in _FOR_GOOD):
                raise _NotRestartedError(
                    "answer",
                    f"it began to restart, and its job cannot be followed: {reason}",
                    status_code=code,
                    uncertain=True,
                ) from failure
            continue
        renewed = False
        trouble.clear()
        if state.get("status") == "ERROR":
            message = state.get("message")
            reason = "the restart failed" if message in (None, "") else readable(message)
            raise _NotRestartedError("answer", reason)
        if state.get("status") == "COMPLETE":
            return


def _job_in(members: Mapping[str, object]) -> Mapping[str, object]:
    """The job in the answer of `get_job`, which may be a list that holds it."""
    found = members.get("result", members)
    if isinstance(found, list):
        found = found[0] if found else {}
    return found if isinstance(found, dict) else {}
