"""One request on a live connection: its body is received, and it is answered by a script."""

from collections.abc import Callable
from typing import Literal

from deploy_relay_kit.harness.faults.answers import (
    Await,
    End,
    Pause,
    Script,
)
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.events import EventStream
from deploy_relay_kit.harness.profiles import Profile
from deploy_relay_kit.harness.profiles.profile import Then
from deploy_relay_kit.harness.transport.connection import ConnectionEnded
from deploy_relay_kit.harness.transport.exchange import Exchange
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.moments import MomentKind
from deploy_relay_kit.harness.witness.wire import OperationReader, UploadReader
from deploy_relay_kit.harness.witness.wire.finding import quoted

_BLOCK = 256 * 1024
_QUOTED = 4096  # bytes of an answer kept for a quote
_SMALL_BLOCK = 4096  # bytes read at a time up to the file part
_READS_PER_SECOND = 20  # of a peer that reads slowly

Until = Literal["file", "ready", "end"]
"""How far to receive: to the headers of the file part, to where the profile can answer, to the end
of the body."""

Rest = Literal[Then, "grace", "silence"]
"""What becomes of a request after its answer: as in `Decision`; `grace` drains it for a while and
then resets; `silence` reads nothing more."""


class Conversation:
    """One request on a live connection, from its head to the end of the answer."""

    def __init__(
        self,
        exchange: Exchange,
        profile: Profile,
        reader: UploadReader | OperationReader,
        quotable: Callable[[str], str] | None = None,
    ) -> None:
        """Begin after the head of the request.

        Args:
            exchange: the request.
            profile: the kind of peer.
            reader: reads and judges the body.
            quotable: removes credentials from an answer before the timeline quotes it; None never
                quotes it.
        """
        self._exchange = exchange
        self._profile = profile
        self._reader = reader
        self._quotable = quotable
        self._connection = exchange.connection
        self._buffer = bytearray()
        limit = profile.request_limit
        self._deadline = None if limit is None else now() + limit
        self.timed_out = False
        """Whether the request took longer than the profile allows."""

    def receive(
        self,
        *,
        until: Until = "end",
        limit: int | None = None,
        rate: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Read the body into the reader until it ends or the client has gone.

        Args:
            until: stop earlier.
            limit: stop after exactly this many bytes of the raw body.
            rate: read no faster than this many bytes per second.
            seconds: stop after this time.
        """
        reader = self._reader
        self._buffer = self._buffer or bytearray(_BLOCK)
        view = memoryview(self._buffer)
        start = now()
        stop = None if seconds is None else start + seconds
        begun = reader.received
        if rate is not None:  # small reads, without long gaps between them
            view = view[: max(1, rate // _READS_PER_SECOND)]
        if until == "file":  # or the whole body of a quick client would be read
            view = view[:_SMALL_BLOCK]
        while not self._is_received(until):
            room = len(view) if limit is None else min(len(view), limit - reader.received)
            if room <= 0:
                self._connection.witness.note(MomentKind.READ_LIMIT, size=reader.received)
                return
            if not self._wait(stop):
                return
            count = self._read(view[:room])
            if count == 0:
                return
            if rate is not None:
                due = start + (reader.received - begun + count) / rate
                self._connection.pause(due - now())
            self._feed(count)

    def _is_received(self, until: Until) -> bool:
        reader = self._reader
        if reader.complete or until == "end":
            return reader.complete
        if isinstance(reader, OperationReader):
            return reader.decided
        # A malformed body may never get to its file.
        return (until == "file" and reader.file_started) or self._profile.is_ready(reader)

    def _wait(self, stop: float | None) -> bool:
        """Wait for bytes; False when `stop` or the time for the whole request is over first."""
        ends = [end for end in (stop, self._deadline) if end is not None]
        if not ends or self._connection.wait_for_input(min(ends) - now()):
            return True
        self.timed_out = self._deadline == min(ends)
        return False

    def _read(self, view: memoryview) -> int:
        """The next bytes; 0 when there are no more, with the reader closed."""
        try:
            count = self._connection.read_into(view)
        except ConnectionEnded as error:
            self._reader.close(str(error))
            raise
        if count == 0:
            self._exchange.keep_alive = False
            self._reader.close("the client closed the connection")
        return count

    def _feed(self, count: int) -> None:
        """Give the reader the bytes in the buffer, and mark the phases that they reach."""
        reader, witness = self._reader, self._exchange.witness
        if reader.received == 0:
            witness.mark("body", MomentKind.BODY)
        witness.last_byte_at = now()
        reader.feed(self._buffer, 0, count)
        if isinstance(reader, UploadReader) and reader.file_started:
            witness.mark("file", MomentKind.FILE)
        if reader.complete:
            witness.mark("body end", MomentKind.BODY_END, size=reader.received)
            self._connection.unread(reader.excess)

    def answer(
        self, answer: AnyAnswer | EventStream, then: Rest = "drain", grace: float = 0
    ) -> None:
        """Answer the request, then handle the rest of it, which may not have been received.

        Args:
            answer: the answer.
            then: how to handle the rest; a client that asked for `Connection: close` gets `close`.
            grace: seconds for the rest, with `then="grace"`.
        """
        exchange = self._exchange
        exchange.keep_alive = exchange.keep_alive and then != "close"
        exchange.witness.answer_status = answer.status
        self._perform(answer.script(keep_alive=exchange.keep_alive))
        if not self._connection.is_open:
            return
        match then:
            case "drain":
                self.receive()
            case "stop":
                self._stop_reading()
            case "grace":
                self.receive(seconds=grace)
                if not self._reader.complete:
                    self.end(End.RESET)
            case "silence":
                self.end(End.SILENCE)

    def _stop_reading(self) -> None:
        """Read as little as the profile reads, then stop reading, then reset.

        When the body ends within that little, the connection stays usable.
        """
        seconds = self._profile.reset_after
        begin = now()
        self.receive(limit=self._reader.received + self._profile.read_ahead, seconds=seconds)
        if self._reader.complete:
            return
        self._connection.fall_silent(MomentKind.STOPPED_READING)
        if seconds is None:
            self._connection.be_silent()
        self._pause(begin + seconds - now())
        self.end(End.RESET)

    def _perform(self, script: Script) -> None:
        """Execute a script, step by step, until it ends or the client has gone."""
        sent, begin = 0, bytearray()
        witness = self._exchange.witness
        for step in self._connection.link.shape(script):
            if isinstance(step, bytes):
                if sent == 0:
                    line = step[:60].splitlines()[0].decode()
                    witness.mark("answer", MomentKind.ANSWER, line=line)
                    witness.received_at_answer = self._reader.received
                    self._reader.answered = True
                self._connection.write(step)
                sent += len(step)
                begin += step[: _QUOTED - len(begin)]
            elif isinstance(step, Pause):
                self._pause(step.seconds)
            elif isinstance(step, Await):
                self.receive(until="end" if step is Await.UPLOAD_ENDS else "ready")
                if self.timed_out:  # no error event, no last chunk: the stream is cut
                    self.end(End.CLOSE)
                    break
            else:
                self._mark_end(sent, begin)
                self.end(step)
        self._mark_end(sent, begin)

    def _pause(self, seconds: float) -> None:
        if self._connection.pause(seconds):
            self._connection.end_with_client()

    def _mark_end(self, sent: int, begin: bytearray) -> None:
        """Mark the end of the answer, with its length and a quote of its beginning."""
        witness = self._exchange.witness
        if "answer end" in witness.times:
            return
        body = begin.partition(b"\r\n\r\n")[2].decode("latin-1")
        quote = quoted(self._quotable(body).encode("latin-1")) if self._quotable else ""
        kind = MomentKind.ANSWER_QUOTED if quote else MomentKind.ANSWER_END
        witness.mark("answer end", kind, size=sent, quote=quote)

    def end(self, how: End) -> None:
        """End the connection, or leave it silent."""
        self._exchange.keep_alive = False
        if how is End.CLOSE:
            self._exchange.before_close()
        match how:
            case End.CLOSE if not self._reader.complete:
                self._connection.close_unread()
            case End.CLOSE:
                self._connection.close()
            case End.RESET:
                self._connection.reset()
            case End.SILENCE:
                self._connection.be_silent()
