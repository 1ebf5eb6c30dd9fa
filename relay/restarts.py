"""Restarting all nodes after a deploy, at once or one after another (RST-01, RST-02)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from http import HTTPStatus
from typing import Unpack

from deploy_relay_kit.relay.answer import GATEWAY, readable
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.fanout import FanOut, Reach
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Report

_POLL_SECONDS = 0.25
_PERMANENT = "mint"  # the stage whose failures do not pass when the node is back


class _NotRestartedError(PeerError):
    """The restart began, and did not end well; a rolling restart stops here."""


async def restart(
    nodes: Iterable[Node],
    *,
    rolling: bool = False,
    **reach: Unpack[Reach],
) -> Report:
    """Restart the HTTP service of every node, and wait for the end of each one's job.

    A rolling restart skips a node that cannot be reached. It stops at a node that failed to
    restart, or may still be restarting: the nodes after it get a failed record (RST-02).

    Args:
        nodes: The nodes, in the order of the records and of a rolling restart.
        rolling: One after another; by default all at once.
        **reach: As for `deploy`; `Limits.restart` is the limit for one node.

    Raises:
        InputError: The input is invalid; nothing was sent.
    """
    fan = FanOut(nodes, last_event="restarted", in_turn=rolling, **reach)
    stopped_at: list[str] = []

    async def work(peer: Peer) -> Mapping[str, object]:
        if rolling and stopped_at:
            reason = f"not restarted, because the restart of {stopped_at[0]} failed"
            raise PeerError("resolve", reason)
        try:
            return await _restart_one(peer)
        except PeerError as failure:
            if failure.uncertain or isinstance(failure, _NotRestartedError):
                stopped_at.append(peer.node.name)
            raise

    return await fan.run(work)


async def _restart_one(peer: Peer) -> Mapping[str, object]:
    peer.emit("restarting", {})
    token = await peer.token()
    request = {"operation": "restart_service", "service": "http", "replicated": False}
    async with _restarted_in(peer.limits.restart) as last_reason:
        started = await _start(peer, request, token)
        if (job := started.get("job_id")) is not None:
            await _end_of(job, peer, token, last_reason)
    return started


async def end_of_rolling(job: object, peer: Peer, nodes: int) -> None:
    """Wait for the job of a node that restarts so many nodes, one after another.

    Raises:
        PeerError: The job failed, or has not ended in the time for all these nodes.
    """
    token = await peer.token()
    async with _restarted_in(nodes * peer.limits.restart) as last_reason:
        await _end_of(job, peer, token, last_reason)


@contextlib.asynccontextmanager
async def _restarted_in(seconds: float) -> AsyncIterator[list[str]]:
    """A time limit; inside, the reason of the last poll that failed is kept in the list."""
    last_reason: list[str] = []
    try:
        async with Deadline(seconds):
            yield last_reason
    except TimeoutError as error:
        reason = "; ".join([f"not restarted in {seconds:g} s", *last_reason])
        raise _NotRestartedError("answer", reason, uncertain=True) from error


async def _start(peer: Peer, request: Mapping[str, object], token: str) -> dict[str, object]:
    try:
        return await peer.ask(request, token=token)
    except PeerError as failure:
        if failure.status_code in GATEWAY:  # the node may have the request, and restart
            failure.uncertain = True
        raise


async def _end_of(job: object, peer: Peer, token: str, last_reason: list[str]) -> None:
    """Poll a job until it ends; a restarting node, or its proxy, may refuse some polls.

    A node that begins to listen before it has loaded its certificate also fails TLS for a moment.
    """
    renewed = False
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        try:
            token = token or await peer.token()
            async with Deadline(peer.limits.mint):
                state = _job_in(await peer.ask({"operation": "get_job", "id": job}, token=token))
        except TimeoutError:
            continue  # the node went away during the poll
        except AttemptError as failure:
            code, reason = failure.status_code, failure.reason
            last_reason[:] = [reason]
            if code == HTTPStatus.UNAUTHORIZED and not renewed:
                token, renewed = "", True  # the token expired during the job
            elif not failure.retryable and (code is not None or failure.stage == _PERMANENT):
                raise _NotRestartedError(
                    "answer",
                    f"the restart began, but its job cannot be polled: {reason}",
                    status_code=code,
                    uncertain=True,
                ) from failure
            continue
        renewed = False
        last_reason.clear()
        if state.get("status") == "ERROR":
            message = state.get("message")
            reason = "" if message is None else readable(message)
            raise _NotRestartedError("answer", reason if reason.strip() else "the restart failed")
        if state.get("status") == "COMPLETE":
            return


def _job_in(members: Mapping[str, object]) -> Mapping[str, object]:
    """The job in an answer of `get_job`, which may be a list that holds it."""
    found = members.get("result", members)
    if isinstance(found, list):
        found = found[0] if found else {}
    return found if isinstance(found, dict) else {}
