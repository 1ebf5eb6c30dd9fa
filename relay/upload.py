"""One attempt to one peer: mint, upload, and what its answer means (SEQ-04)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from relay import formdata
from relay.answer import (
    EVENT_STREAM,
    StreamedAnswer,
    is_event_stream,
    redacted,
    success_members,
)
from relay.errors import AttemptError, PeerError
from relay.events import Event
from relay.payload import opened
from relay.probe import refuse_old

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import aiohttp

    from relay.connection import Connections, Peer
    from relay.payload import StagedPayload
    from relay.token import Mint

_TELL_BYTES = 1 << 20  # how much is sent from one event to the next
_FAREWELL = 5.0  # seconds for a stream to end after it has said that all is done


@dataclass(frozen=True)
class Upload:
    """What every peer gets: the same fields and bytes, encoded and read anew for each attempt."""

    fields: Mapping[str, object]
    payload: StagedPayload
    ask_for_events: bool = False
    probe: bool = False


async def attempt(
    upload: Upload, peer: Peer, mint: Mint, connections: Connections, emit: Callable[[Event], None]
) -> dict[str, object]:
    """Deploy to one peer, once; returns the members that its answer brings to the record.

    Raises:
        AttemptError: In any other case.
    """
    emit(Event(peer.node.name, "mint"))
    token = await mint.mint(peer, connections)
    try:
        if upload.probe:
            await refuse_old(peer, token, connections)
        with opened(upload.payload) as blocks:
            sending = _Sending(upload, peer, token, connections, emit, blocks)
            members = await sending.outcome()
    except AttemptError as failure:  # a peer that quotes the token must not bring it into a record
        failure.reason = redacted(failure.reason, token, "[token]")
        raise
    return dict(redacted(members, token, "[token]"))


@dataclass
class _Sending:
    """One body on its way and the answer to it, with a deadline that moves as they do.

    aiohttp has no timer for a peer that stops taking data, so each part that is asked for, which
    means that the one before it was taken, pushes the deadline back.
    """

    upload: Upload
    peer: Peer
    token: str = field(repr=False)
    connections: Connections
    emit: Callable[[Event], None]
    blocks: Iterator[bytes]

    def __post_init__(self) -> None:
        self._limits = self.connections.limits
        self._form = formdata.encode(self.upload.fields)
        self._stream = StreamedAnswer(self._limits.answer_bytes)
        self._deadline = asyncio.timeout(None)  # connecting has a limit of its own
        self._is_sent = False

    async def outcome(self) -> dict[str, object]:
        """Send the body and read the answer; its members if it is a success."""
        headers = {
            "Content-Type": self._form.content_type,
            "Authorization": f"Bearer {self.token}",
        }
        if self.upload.ask_for_events:
            headers["Accept"] = EVENT_STREAM  # SSE-01
        self._tell_sent(0)
        try:
            async with (
                self._deadline,
                self.connections.exchange(
                    self.peer, headers, self._parts(), lambda: self._is_sent
                ) as response,
            ):
                members = await self._members(response)
        except (TimeoutError, PeerError) as error:
            if not self._stream.is_done:  # what happens after `done` changes nothing (EARLY-08)
                raise (error if isinstance(error, PeerError) else self._too_slow()) from error
            members = self._stream.end()
        if not self._is_sent:
            raise PeerError(
                "answer", "the peer reported success before it had the payload", uncertain=True
            )
        return members

    async def _members(self, response: aiohttp.ClientResponse) -> dict[str, object]:
        if not is_event_stream(response.status, response.headers.get("Content-Type", "")):
            answer = await self.connections.whole(response)
            bare = answer.body.replace(self.token.encode(), b"[token]")  # before it is shortened
            return success_members(replace(answer, body=bare))
        async for block in response.content.iter_any():
            for name, data in self._stream.feed(block):
                words = redacted(data, self.token, "[token]")
                self.emit(Event(self.peer.node.name, name, words))
            if self._is_sent:
                self._allow(_FAREWELL if self._stream.is_done else self._limits.answer)
        return self._stream.end()

    async def _parts(self) -> AsyncIterator[bytes]:
        self._allow(self._limits.stall)
        yield self._form.head
        sent = 0
        for block in self.blocks:
            await asyncio.sleep(0)  # look at the connection: writes to a lost one do not fail
            self._allow(self._limits.stall)
            yield block
            sent += len(block)
            if sent - self._told >= _TELL_BYTES:
                self._tell_sent(sent)
        if sent != self._told:
            self._tell_sent(sent)
        await asyncio.sleep(0)
        # A peer may answer as soon as it has the closing boundary, before anyone asks for more.
        self._is_sent = True
        self._allow(self._limits.answer)
        yield self._form.tail

    def _tell_sent(self, sent: int) -> None:
        self._told = sent
        total = self.upload.payload.size
        self.emit(Event(self.peer.node.name, "sent", {"bytes": sent, "total": total}))

    def _allow(self, seconds: float) -> None:
        when = asyncio.get_running_loop().time() + seconds
        if abs(when - (self._deadline.when() or 0.0)) > seconds / 100:  # it is not for nothing
            # The writer may ask for one more part while the deadline is already ending the attempt.
            with contextlib.suppress(RuntimeError):
                self._deadline.reschedule(when)

    def _too_slow(self) -> PeerError:
        if self._is_sent:
            return PeerError("answer", f"no answer in {self._limits.answer:g} s", uncertain=True)
        return PeerError("upload", f"the peer took no data for {self._limits.stall:g} s")
