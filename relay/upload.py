"""One attempt to deploy to one peer: mint, upload, answer (SEQ-04)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from deploy_relay_kit.relay import cbor, formdata
from deploy_relay_kit.relay.answer import (
    EVENT_STREAM,
    PROGRESS,
    SUCCESS,
    StreamedAnswer,
    is_event_stream,
    success_members,
    unasked_coding,
)
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.errors import AttemptError, PeerError, SpoiledUploadError
from deploy_relay_kit.relay.link import Part, Reply
from deploy_relay_kit.relay.payload import BLOCK_BYTES, Block, StagedPayload, opened
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.states import AnswerState, Exchange, Step

_TURN_BYTES = 4 << 20  # sent at most before other peers have a turn
_REPORT_SECONDS = 0.1  # between two `sent` events
_OLD = "a node older than 5.1 takes no forms; deploy with `--legacy`, or `--probe` to find out"
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})", re.ASCII)
_FIRST_WITH_FORMS = (5, 1)


@dataclass(frozen=True)
class Upload:
    """What every peer gets; it is encoded and read again for each attempt."""

    fields: Mapping[str, object]
    payload: StagedPayload
    ask_for_events: bool = False
    probe: bool = False
    legacy: bool = False
    progress: Collection[str] = PROGRESS
    """The peer's events that become events of the deploy."""

    def frame(self) -> formdata.Frame:
        if self.legacy:
            return cbor.encode(self.fields, self.payload.size)
        return formdata.encode(self.fields)


async def send(upload: Upload, peer: Peer) -> dict[str, object]:
    """Deploy to one peer once and return the members of its answer.

    If an answer shows only during the upload that a proxy spoils it, the upload is repeated at once
    without asking for events. Both count as one attempt.

    Raises:
        AttemptError: It did not succeed.
    """
    try:
        return await _attempt(upload, peer)
    except SpoiledUploadError as failure:
        spoiled = failure
        if not peer.fronts:
            peer.fronts.add("a proxy")
    try:
        return await _attempt(upload, peer)
    except AttemptError as failure:
        failure.uncertain |= spoiled.uncertain
        failure.hint = failure.hint or spoiled.hint
        raise


async def _attempt(upload: Upload, peer: Peer) -> dict[str, object]:
    peer.emit("mint", {})
    token = await peer.token()
    if upload.probe and not upload.legacy:
        version = await _version_of(peer, token)
        if not takes_forms(version):
            peer.emit("legacy", {"version": version})
            upload = replace(upload, legacy=True)
    if upload.legacy:
        upload = replace(upload, ask_for_events=False)  # VER-03: such a node has none
    if upload.ask_for_events and peer.fronts:
        reason = f"{min(peer.fronts)} in front of the node spoils uploads that are answered early"
        peer.emit("no_events", {"reason": reason})
        upload = replace(upload, ask_for_events=False)
    largest = min(rate.block(BLOCK_BYTES) for rate in peer.rates)
    with opened(upload.payload, largest) as blocks:
        return await _Sending(upload, peer, token, blocks).outcome()


async def _version_of(peer: Peer, token: str) -> object:
    """VER-01: what the peer says about its version; None if it cannot be found out."""
    with contextlib.suppress(AttemptError, TimeoutError):
        async with Deadline(peer.limits.mint):
            answer = await peer.ask({"operation": "registration_info"}, token=token)
            return answer.get("version")
    return None


def takes_forms(version: object) -> bool:
    """VER-02: by major and minor version; an unreadable version counts as modern."""
    found = _VERSION.match(version) if isinstance(version, str) else None
    return found is None or (int(found[1]), int(found[2])) >= _FIRST_WITH_FORMS


@dataclass
class _Sending:
    """Moves the bytes of one exchange, whose rules are in `states.py`.

    The answer is read while the body is sent. A refusal stops the body (EARLY-05). A write that
    fails does not, so that an answer which has arrived decides (EARLY-08): the sockets hide it.

    aiohttp has no timer for a peer that stops taking data. So a deadline ends the exchange, and
    moves with its steps.
    """

    upload: Upload
    peer: Peer
    token: str = field(repr=False)
    blocks: Iterator[Block]

    def __post_init__(self) -> None:
        limits = self.peer.limits
        self._frame = self.upload.frame()
        self._stream = StreamedAnswer(
            limits.answer_bytes, self.peer.secrets.hide, self.upload.progress
        )
        self._exchange = Exchange(limits, self.upload.ask_for_events)
        self._deadline = Deadline()
        self._is_limited = any(rate.bytes_per_second for rate in self.peer.rates)

    async def outcome(self) -> dict[str, object]:
        """Send the body, read the answer and return its members.

        Raises:
            AttemptError: The answer is not a success, or not complete.
        """
        headers = {
            "Content-Type": self._frame.content_type,
            "Authorization": f"Bearer {self.token}",
        }
        if self.upload.legacy:
            headers["Accept"] = "application/json"  # VER-03
        if self.upload.ask_for_events:
            headers["Accept"] = EVENT_STREAM  # SSE-01
        members: dict[str, object] = {}
        error: PeerError | TimeoutError | None = None
        self._report(0)
        try:
            async with (
                self._deadline,
                self.peer.post(
                    headers,
                    self._parts(),
                    lambda: self._exchange.is_sent,
                    lambda: self._advance(Step.PART),
                ) as reply,
            ):
                members = await self._members(reply)
        except (PeerError, TimeoutError) as caught:
            error = caught
        except asyncio.CancelledError:
            if self._exchange.is_sent:
                self.peer.doubts.add("the upload was complete")
            raise
        if (failure := self._exchange.failure(error)) is not None:
            raise failure
        return members if error is None else self._stream.end()

    async def _members(self, reply: Reply) -> dict[str, object]:
        self._exchange.status = reply.status
        if not is_event_stream(reply.status, reply.headers.get("Content-Type", "")):
            self._advance(Step.HEAD if reply.status in SUCCESS else Step.REFUSAL_HEAD)
            answer = await self.peer.read(reply)
            if reply.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE and not self.upload.legacy:
                answer = replace(answer, hint=_OLD)
            return success_members(answer)
        if self.upload.ask_for_events and self.peer.fronts:  # which no answer has shown before
            # Also if the connection has taken all: what arrives at the peer may still be damaged.
            reason = f"{min(self.peer.fronts)} in front of the node spoils this upload"
            raise SpoiledUploadError("answer", reason, uncertain=True, retryable=True)
        if coded := unasked_coding(reply.headers.getall("Content-Encoding", ())):
            raise PeerError("answer", coded, uncertain=True)
        self._advance(Step.STREAM_HEAD)
        async for block in reply:
            before = self._stream.events
            for name, data in self._stream.feed(block):
                self.peer.emit(name, self.peer.secrets.hide(data))
            if self._stream.events > before:  # a comment is no progress
                self._advance(Step.DONE if self._stream.is_done else Step.EVENT)
        return self._stream.end()

    async def _parts(self) -> AsyncIterator[Part]:
        self._advance(Step.PART)
        yield self._frame.head
        clock = asyncio.get_running_loop().time
        sent, turned, reported = 0, 0, clock()
        for block in self._read():
            if self._is_limited:
                await self._until_allowed(len(block))
            if sent >= turned + _TURN_BYTES:
                turned = sent
                await asyncio.sleep(0)  # a turn in which the event loop notices a lost connection
            if self._exchange.answer is AnswerState.REFUSED:
                # Nothing more is sent, not even the last chunk; leaving the exchange cancels this.
                await asyncio.Future()
            self._advance(Step.PART)
            yield block
            sent += len(block)
            now = clock()
            if sent == self.upload.payload.size or now >= reported + _REPORT_SECONDS:
                reported = now
                self._report(sent)
        await asyncio.sleep(0)
        # A peer may answer as soon as it has the closing boundary.
        self._advance(Step.LAST_PART)
        if self._frame.tail:
            yield self._frame.tail

    async def _until_allowed(self, count: int) -> None:
        """Wait for the rates; meanwhile the peer, which has taken all so far, does not stall."""
        clock = asyncio.get_running_loop().time
        allowed = max(rate.take(count, clock()) for rate in self.peer.rates)
        while (left := allowed - clock()) > 0 and self._exchange.answer is not AnswerState.REFUSED:
            self._advance(Step.PART)
            await asyncio.sleep(min(left, self.peer.limits.stall / 4, 1.0))

    def _read(self) -> Iterator[Block]:
        try:
            yield from self.blocks
        except AttemptError as error:
            # aiohttp does not report it to a reader whose answer began early (SSE-02).
            self._exchange.read_error = error
            self._advance(Step.READ_ERROR)
            raise

    def _report(self, sent: int) -> None:
        self.peer.emit("sent", {"bytes": sent, "total": self.upload.payload.size})

    def _advance(self, step: Step) -> None:
        """Take a step, and start the deadline again if a limit starts with it."""
        seconds = self._exchange.advance(step)
        if seconds is not None:
            self._deadline.start(seconds)
