"""One attempt to one peer: mint, upload, and what its answer means (SEQ-04)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field

import aiohttp

from relay import formdata
from relay.answer import (
    EVENT_STREAM,
    GATEWAY,
    SUCCESS,
    StreamedAnswer,
    is_event_stream,
    success_members,
)
from relay.connection import Peer
from relay.errors import AttemptError, PeerError
from relay.payload import StagedPayload, opened

_TELL_BYTES = 1 << 20  # how much is sent from one event to the next
_FAREWELL = 5.0  # seconds for a stream to end after it has said that all is done
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})", re.ASCII)
_FIRST_MODERN = (5, 1)


@dataclass(frozen=True)
class Upload:
    """What every peer gets: the same fields and bytes, encoded and read anew for each attempt."""

    fields: Mapping[str, object]
    payload: StagedPayload
    ask_for_events: bool = False
    probe: bool = False


async def send(upload: Upload, peer: Peer) -> dict[str, object]:
    """Deploy to one peer, once; returns the members that its answer brings to the record.

    Raises:
        AttemptError: In any other case.
    """
    peer.tell("mint", {})
    token = await peer.token()
    if upload.probe:
        await _refuse_old(peer, token)
    with opened(upload.payload) as blocks:
        return await _Sending(upload, peer, token, blocks).outcome()


async def _refuse_old(peer: Peer, token: str) -> None:
    """VER-01: any trouble with the probe counts as modern."""
    request, connections = {"operation": "registration_info"}, peer.connections
    version: object = None
    with contextlib.suppress(AttemptError, TimeoutError):
        async with asyncio.timeout(connections.limits.mint):
            version = (await connections.ask(peer, request, token=token)).get("version")
    if not takes_streams(version):
        reason = f"the peer runs version {version}; it takes streamed deploys from 5.1 on"
        raise PeerError("connect", reason)


def takes_streams(version: object) -> bool:
    """VER-02: judged by major and minor; what cannot be read counts as modern."""
    found = _VERSION.match(version) if isinstance(version, str) else None
    return found is None or (int(found[1]), int(found[2])) >= _FIRST_MODERN


@dataclass
class _Sending:
    """One body on its way and the answer to it, with a deadline that moves as they do.

    aiohttp has no timer for a peer that stops taking data, so each part that is asked for, which
    means that the one before it was taken, pushes the deadline back.
    """

    upload: Upload
    peer: Peer
    token: str = field(repr=False)
    blocks: Iterator[bytes]

    def __post_init__(self) -> None:
        self._limits = self.peer.connections.limits
        self._form = formdata.encode(self.upload.fields)
        self._stream = StreamedAnswer(self._limits.answer_bytes, self.peer.secrets.hide)
        self._deadline = asyncio.timeout(None)  # connecting has a limit of its own
        self._is_sent = False
        self._refusal: int | None = None  # the HTTP status, once its head is there
        self._broken: AttemptError | None = None  # why the payload cannot be read to its end

    async def outcome(self) -> dict[str, object]:
        """Send the body and read the answer; its members if it is a success."""
        headers = {
            "Content-Type": self._form.content_type,
            "Authorization": f"Bearer {self.token}",
        }
        if self.upload.ask_for_events:
            headers["Accept"] = EVENT_STREAM  # SSE-01
        self._tell_sent(0)
        failure: PeerError | None = None
        try:
            async with (
                self._deadline,
                self.peer.connections.exchange(
                    self.peer, headers, self._parts(), lambda: self._is_sent
                ) as response,
            ):
                members = await self._members(response)
        except TimeoutError:
            failure = self._too_slow()
        except PeerError as error:
            failure = error
        if failure is not None:
            if self._broken:
                raise self._broken from failure
            if not self._stream.is_done:  # what happens after `done` changes nothing (EARLY-08)
                raise self._judged(failure)
            members = self._stream.end()
        if not self._is_sent:
            reason = "the peer reported success before it had the payload"
            raise PeerError("answer", reason, uncertain=True)
        return members

    async def _members(self, response: aiohttp.ClientResponse) -> dict[str, object]:
        if response.status not in SUCCESS:
            self._refusal = response.status
            self._allow(self._limits.answer if self._is_sent else self._limits.stall)
        if not is_event_stream(response.status, response.headers.get("Content-Type", "")):
            return success_members(await self.peer.connections.whole(response, self.peer))
        async for block in response.content.iter_any():
            for name, data in self._stream.feed(block):
                self.peer.tell(name, self.peer.secrets.hide(data))
            if self._is_sent:
                self._allow(_FAREWELL if self._stream.is_done else self._limits.answer)
            elif self._stream.is_done:
                break  # too early to be true
        return self._stream.end()

    async def _parts(self) -> AsyncIterator[bytes]:
        self._allow(self._limits.stall)
        yield self._form.head
        sent = 0
        for block in self._read():
            await asyncio.sleep(0)  # look at the connection: writes to a lost one do not fail
            if self._refusal is not None:
                await asyncio.Future()  # nothing more, until the answer is read (EARLY-05)
            self._allow(self._limits.stall)
            yield block
            sent += len(block)
            if sent - self._told >= _TELL_BYTES or sent == self.upload.payload.size:
                self._tell_sent(sent)
        await asyncio.sleep(0)
        # A peer may answer as soon as it has the closing boundary, before anyone asks for more.
        self._is_sent = True
        self._allow(self._limits.answer)
        yield self._form.tail

    def _read(self) -> Iterator[bytes]:
        try:
            yield from self.blocks
        except AttemptError as error:
            self._broken = error
            self._allow(0)  # aiohttp tells nobody who reads an answer that came early (SSE-02)
            raise

    def _tell_sent(self, sent: int) -> None:
        self._told = sent
        self.peer.tell("sent", {"bytes": sent, "total": self.upload.payload.size})

    def _allow(self, seconds: float) -> None:
        when = asyncio.get_running_loop().time() + seconds
        if abs(when - (self._deadline.when() or 0.0)) > seconds / 100:  # it is not for nothing
            # The writer may ask for one more part while the deadline is already ending the attempt.
            with contextlib.suppress(RuntimeError):
                self._deadline.reschedule(when)

    def _judged(self, failure: PeerError) -> PeerError:
        """The same failure; the head of a refusal counts, however the rest of it ended."""
        if self._refusal is not None:
            if failure.status_code is None:
                failure.reason = f"HTTP {self._refusal}, but {failure.reason}"
                failure.status_code = self._refusal
            # A peer behind a gateway that has lost patience with it may have deployed.
            failure.uncertain = self._refusal in GATEWAY
        failure.uncertain &= self._is_sent  # one that has not had the whole body cannot have
        return failure

    def _too_slow(self) -> PeerError:
        if self._refusal is not None:
            return PeerError("answer", "its answer did not end in time")
        if self._is_sent:
            return PeerError("answer", f"no answer in {self._limits.answer:g} s", uncertain=True)
        return PeerError("upload", f"the peer took no data for {self._limits.stall:g} s")
