"""One attempt to one peer: mint, upload, and what its answer means (SEQ-04)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relay import formdata
from relay.answer import success_members
from relay.errors import PeerError
from relay.events import Event
from relay.payload import opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from relay.connection import Connections, Peer
    from relay.limits import Limits
    from relay.payload import BlockReader, StagedPayload
    from relay.token import Mint

WRITE_BYTES = 1 << 16
"""Size of one write; larger ones were slower."""
_TURN_BYTES = 2 * WRITE_BYTES
"""How much is written between two looks at the connection: writes to a lost one do not fail."""


@dataclass(frozen=True)
class Upload:
    """What every peer gets: the same fields and bytes, encoded and read anew for each attempt."""

    fields: Mapping[str, object]
    payload: StagedPayload


async def attempt(
    upload: Upload, peer: Peer, mint: Mint, connections: Connections, emit: Callable[[Event], None]
) -> dict[str, object]:
    """Deploy to one peer, once; returns the members that its answer brings to the record.

    Raises:
        AttemptError: In any other case.
    """
    name = peer.node.name
    emit(Event(name, "mint"))
    token = await mint.mint(peer, connections)
    form = formdata.encode(upload.fields)
    headers = {"Content-Type": form.content_type, "Authorization": f"Bearer {token}"}
    limits = connections.limits
    async with opened(upload.payload) as reader:
        body = _Body(form, reader, limits, lambda sent: emit(_sent(name, sent, upload.payload)))
        emit(_sent(name, 0, upload.payload))
        try:
            async with asyncio.timeout(None) as body.deadline:
                answer = await connections.post(peer, headers, body.parts(), lambda: body.is_sent)
        except TimeoutError as error:
            raise _too_slow(limits, sent=body.is_sent) from error
    # A peer that quotes the token must not bring it into a record.
    answer = replace(answer, body=answer.body.replace(token.encode(), b"[token]"))
    members = success_members(answer)
    if not body.is_sent:
        raise PeerError(
            "answer",
            f"HTTP {answer.status} before the whole payload was sent",
            uncertain=True,
        )
    return members


class _Body:
    """One multipart body on its way, and the deadline that moves with it.

    aiohttp has no timer for a peer that stops taking data, so each part that is asked for, which
    means that the one before it was taken, pushes the deadline back.
    """

    deadline: asyncio.Timeout

    def __init__(
        self,
        form: formdata.FormData,
        reader: BlockReader,
        limits: Limits,
        on_sent: Callable[[int], None],
    ) -> None:
        self._form = form
        self._reader = reader
        self._limits = limits
        self._on_sent = on_sent
        self.is_sent = False

    async def parts(self) -> AsyncIterator[bytes | memoryview]:
        self._allow(self._limits.stall)
        yield self._form.head
        sent = 0
        async for block in self._reader.blocks():
            view = memoryview(block)
            for start in range(0, len(block), WRITE_BYTES):
                if start % _TURN_BYTES == 0:
                    await asyncio.sleep(0)
                self._allow(self._limits.stall)
                yield view[start : start + WRITE_BYTES]
            sent += len(block)
            self._on_sent(sent)
        await asyncio.sleep(0)
        self._allow(self._limits.stall)
        yield self._form.tail
        self.is_sent = True
        self._allow(self._limits.answer)

    def _allow(self, seconds: float) -> None:
        # The writer may ask for one more part while the deadline is already ending the attempt.
        with contextlib.suppress(RuntimeError):
            self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)


def _sent(name: str, sent: int, payload: StagedPayload) -> Event:
    return Event(name, "sent", {"bytes": sent, "total": payload.size})


def _too_slow(limits: Limits, *, sent: bool) -> PeerError:
    if sent:
        return PeerError("answer", f"no answer in {limits.answer:g} s", uncertain=True)
    return PeerError("upload", f"the peer took no data for {limits.stall:g} s")
