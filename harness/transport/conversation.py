"""What a peer does on a live connection: receive an upload, perform a script, both witnessed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from harness.faults.answers import AnyAnswer, Await, End, Pause, Script
from harness.faults.events import EventStream
from harness.profiles import Profile
from harness.transport.connection import ConnectionEnded
from harness.transport.exchange import Exchange
from harness.witness.moments import MomentKind
from harness.witness.wire import OperationReader, UploadReader
from harness.witness.wire.finding import show

_BLOCK = 256 * 1024
_QUOTED = 4096  # bytes of an answer that are kept to quote from
_LITTLE = 4096  # bytes that are read at a time up to the file part
_READS_PER_SECOND = 20  # of a peer that reads slowly

Until = Literal["file", "ready", "end"]
"""How far to receive: to the headers of the file part, to where the profile has enough for an
answer, to the end."""


class Conversation:
    """One request on a live connection, from its head to the end of the answer."""

    def __init__(
        self,
        exchange: Exchange,
        profile: Profile,
        reader: UploadReader | OperationReader | None = None,
        quotable: Callable[[str], str] | None = None,
    ) -> None:
        """Talk on `exchange`.

        Args:
            exchange: the request.
            profile: what kind of peer talks.
            reader: reads and judges the body, unless another has read it.
            quotable: takes credentials out of an answer that may be quoted in the timeline; None
                where it may not.

        """
        self._exchange = exchange
        self._quotable = quotable
        self._profile = profile
        self._link = exchange.connection
        self._reader = reader
        self._note = exchange.connection.witness.note
        self._buffer = bytearray()
        limit = profile.request_limit
        self._deadline = None if limit is None else time.monotonic() + limit
        self.timed_out = False
        """Whether the request took longer than the profile allows."""

    @property
    def complete(self) -> bool:
        """Whether the upload has been received to its end."""
        return self._reader is not None and self._reader.complete

    @property
    def open(self) -> bool:
        """Whether the connection is."""
        return self._link.open

    # -- receiving -------------------------------------------------------------------------------

    def receive(
        self,
        *,
        until: Until = "end",
        limit: int | None = None,
        rate: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Read the body into the reader until it ends or the client goes.

        Args:
            until: stop earlier.
            limit: stop after exactly this many bytes of the raw body.
            rate: read no faster than this many bytes per second.
            seconds: stop after this time.

        """
        reader = self._reader
        assert reader is not None
        if not self._buffer:
            self._buffer = bytearray(_BLOCK)
        view = memoryview(self._buffer)
        start = time.monotonic()
        stop = None if seconds is None else start + seconds
        begun = reader.received
        if rate is not None:  # a little at a time: the gaps are not what is slow
            view = view[: max(1, rate // _READS_PER_SECOND)]
        if until == "file":  # or a quick client's whole body would be read along
            view = view[:_LITTLE]
        while not self._has_come(until):
            room = len(view) if limit is None else min(len(view), limit - reader.received)
            if room <= 0:
                self._note(MomentKind.READ_LIMIT, size=reader.received)
                return
            if not self._wait(stop):
                return
            count = self._read(view[:room])
            if count == 0:
                return
            if rate is not None:
                due = start + (reader.received - begun + count) / rate
                self._link.pause(due - time.monotonic())
            self._take_in(count)

    def _has_come(self, until: Until) -> bool:
        reader = self._reader
        assert reader is not None
        if reader.complete:
            return True
        if until == "end":
            return False
        if isinstance(reader, OperationReader):
            return reader.decided
        # A body that is beyond reading never gets to its file.
        return (until == "file" and reader.file_started) or self._profile.is_ready(reader)

    def _wait(self, stop: float | None) -> bool:
        """Wait for bytes; False when `stop` or the time for the whole request came first."""
        ends = [end for end in (stop, self._deadline) if end is not None]
        if not ends or self._link.wait_for_input(min(ends) - time.monotonic()):
            return True
        self.timed_out = self._deadline == min(ends)
        return False

    def _read(self, view: memoryview) -> int:
        """The next bytes; 0 when there are no more, with the reader closed."""
        assert self._reader is not None
        try:
            count = self._link.read_into(view)
        except ConnectionEnded as error:
            self._reader.close(str(error))
            raise
        if count == 0:
            self._exchange.keep_alive = False
            self._reader.close("the client closed the connection")
        return count

    def _take_in(self, count: int) -> None:
        reader, seen = self._reader, self._exchange.witness
        assert reader is not None
        if reader.received == 0:
            seen.mark("body", MomentKind.BODY)
        seen.last_byte_at = time.monotonic()
        reader.feed(self._buffer, 0, count)
        if "file" not in seen.times and isinstance(reader, UploadReader) and reader.file_started:
            seen.mark("file", MomentKind.FILE)
        if reader.complete:
            seen.mark("body end", MomentKind.BODY_END, size=reader.received)
            self._link.unread(reader.excess)

    def stall(self) -> None:
        """After a refusal: read on as little as the profile does, then not at all, then reset.

        An upload that ends within that little leaves the connection good.
        """
        assert self._reader is not None
        seconds = self._profile.reset_after
        begin = time.monotonic()
        self.receive(limit=self._reader.received + self._profile.read_ahead, seconds=seconds)
        if self.complete:
            return
        self._note(MomentKind.STOPPED_READING)
        if seconds is None:
            self._link.be_silent()
        if self._link.pause(begin + seconds - time.monotonic()):
            self._link.gone()
        self.end(End.RESET)

    # -- answering -------------------------------------------------------------------------------

    def go_on(self) -> None:
        """Send `100 Continue`, which is no answer yet."""
        self._link.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._note(MomentKind.CONTINUE)

    def answer(self, answer: AnyAnswer | EventStream, *, close: bool = False) -> None:
        """Answer the request; `close` ends the connection afterwards."""
        exchange = self._exchange
        exchange.keep_alive = exchange.keep_alive and not close
        exchange.witness.answer_status = answer.status
        self.perform(answer.script(keep_alive=exchange.keep_alive))

    def perform(self, script: Script) -> None:
        """Execute a script, step by step, until it ends or the client has gone."""
        sent, begin = 0, bytearray()
        seen = self._exchange.witness
        for step in script:
            if isinstance(step, bytes):
                if sent == 0:
                    line = step[:60].splitlines()[0].decode()
                    seen.mark("answer", MomentKind.ANSWER, line=line)
                    if self._reader is not None:
                        self._reader.answered = True
                        seen.received_at_answer = self._reader.received
                self._link.write(step)
                sent += len(step)
                begin += step[: _QUOTED - len(begin)]
            elif isinstance(step, Pause):
                if self._link.pause(step.seconds):
                    self._link.gone()
            elif isinstance(step, Await):
                self.receive(until="end" if step is Await.UPLOAD_ENDS else "ready")
                if self.timed_out:  # no error event, no last chunk: the stream is cut
                    self.end(End.CLOSE)
                    break
            else:
                self._mark_end(sent, begin)
                self.end(step)
        self._mark_end(sent, begin)

    def _mark_end(self, sent: int, begin: bytearray) -> None:
        """The end of the answer, once: its length, and what may be quoted of its beginning."""
        seen = self._exchange.witness
        if "answer end" in seen.times:
            return
        body = begin.partition(b"\r\n\r\n")[2].decode("latin-1")
        quote = show(self._quotable(body).encode("latin-1")) if self._quotable else ""
        kind = MomentKind.ANSWER_QUOTED if quote else MomentKind.ANSWER_END
        seen.mark("answer end", kind, size=sent, quote=quote)

    def end(self, how: End) -> None:
        """Leave the conversation for good."""
        self._exchange.keep_alive = False
        if how is End.CLOSE and self._reader is not None and not self._reader.complete:
            self._link.close_unread()
        elif how is End.CLOSE:
            self._link.close()
        elif how is End.RESET:
            self._link.reset()
        else:
            self._link.be_silent()
