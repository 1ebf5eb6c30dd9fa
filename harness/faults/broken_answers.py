"""Answers that are broken or delayed: each sends another answer, changed. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

from attrs import Attribute, evolve, field, frozen

from deploy_relay_kit.harness.faults.answers import BLOCK, Answer, End, Pause, Script
from deploy_relay_kit.harness.faults.checks import (
    check_choice,
    check_function,
    check_instance,
    check_int,
    check_number,
    check_status,
    check_type,
)
from deploy_relay_kit.harness.faults.http1 import chunk, status_line

check_answer = check_instance(Answer, "an Answer, such as Answer(503)")
CloseOrReset = Literal["close", "reset"]


class WrappedAnswer:
    """An answer that sends another answer, changed or delayed."""

    answer: Answer | ContentLengthOff | UnfinishedChunks | Drip

    @property
    def status(self) -> int:
        return self.answer.status


@frozen
class ContentLengthOff(WrappedAnswer):
    """Announce `by` bytes more than the body has, or fewer if negative; close with FIN."""

    answer: Answer = field(validator=check_answer)
    by: int = field()

    @by.validator
    def _check_by(self, _: Attribute[int], by: int) -> None:
        check_int(least=-self.answer.length).validate("by", by)

    def script(self, *, keep_alive: bool) -> Script:
        yield self.answer.head(keep_alive=False, length_off_by=self.by)
        yield from self.answer.blocks()
        yield End.CLOSE


@frozen
class UnfinishedChunks(WrappedAnswer):
    """Send the body chunked, leave out the last chunk and end the connection (RES-12)."""

    answer: Answer = field(validator=check_answer)
    end: CloseOrReset = field(default="close", validator=check_choice(CloseOrReset))

    def script(self, *, keep_alive: bool) -> Script:
        answer = evolve(self.answer, chunk_size=self.answer.chunk_size or BLOCK)
        yield answer.head(keep_alive=False)
        yield from answer.blocks()
        yield End(self.end)


@frozen
class HeadThenSilence(WrappedAnswer):
    """Send the head of an answer with a body, and nothing more."""

    answer: Answer = field(validator=check_answer)

    def script(self, *, keep_alive: bool) -> Script:
        yield self.answer.head(keep_alive=keep_alive)
        yield End.SILENCE


@frozen
class EndlessHead:
    """Send a status line and header lines without end, as fast as the client reads."""

    status: int = field(default=200, validator=check_status)

    def script(self, *, keep_alive: bool) -> Script:
        yield f"{status_line(self.status)}\r\n".encode()
        while True:
            yield b"x-more: there is no end to this\r\n" * 100


FloodOf = Literal["comments", "events", "chunks", "interim answers"]
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_FLOODS = {
    "comments": (_STREAM + b"\r\n", b":\n"),
    "events": (_STREAM + b"\r\n", b'event: install\ndata: {"line":"more"}\n\n'),
    "chunks": (b"HTTP/1.1 200 OK\r\n" + _CHUNKED, chunk(b"x")),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@frozen
class Flood:
    """Send an answer without end, as fast as the client reads.

    Attributes:
        of: `comments` or `events` of a stream, `chunks` of one byte, or `interim answers`.
    """

    status = 200

    of: FloodOf = field(default="comments", validator=check_choice(FloodOf))

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive  # the connection is never free for another request
        begin, again = _FLOODS[self.of]
        if begin:
            yield begin
        yield from itertools.repeat(again * (BLOCK // len(again)))


Dripping = Answer | ContentLengthOff | UnfinishedChunks


@frozen
class Drip(WrappedAnswer):
    """Send an answer byte by byte, at this many bytes per second."""

    answer: Dripping = field(validator=check_type(Dripping))
    bytes_per_second: float = field(validator=check_number(above=0))

    def script(self, *, keep_alive: bool) -> Script:
        for step in self.answer.script(keep_alive=keep_alive):
            if isinstance(step, bytes):
                for i in range(len(step)):
                    yield step[i : i + 1]
                    yield Pause(1 / self.bytes_per_second)
            else:
                yield step


Holding = Dripping | Drip


@frozen
class Held(WrappedAnswer):
    """Delay an answer until a function returns.

    Attributes:
        answer: the answer.
        until: the peer calls it in the thread of the connection. If it raises TimeoutError, the
            peer resets the connection. Give it a limit: `functools.partial(event.wait, 5)`.
    """

    answer: Holding = field(validator=check_type(Holding))
    until: Callable[[], object] = field(validator=check_function)

    def script(self, *, keep_alive: bool) -> Script:
        try:
            self.until()
        except TimeoutError:
            yield End.RESET
            return
        yield Pause(0)  # notices a client that has hung up
        yield from self.answer.script(keep_alive=keep_alive)


AnyAnswer = (
    Answer
    | ContentLengthOff
    | UnfinishedChunks
    | HeadThenSilence
    | EndlessHead
    | Drip
    | Held
    | Flood
)


ALMOST_JSON = [
    '{"n":NaN}',
    '{"n":[Infinity,-Infinity]}',
    '{"n":1,}',
    "{'n':1}",
    "{n:1}",
    '{"n":01}',
    '{"n":+1}',
    '{"n":.5}',
    '{"n":1} {"n":2}',
    '{"n":1}/**/',
    '{"n":"a\tb"}',
    '{"n":undefined}',
    '\u00a0{"n":1}',
    '{"n":1}\x0b\x0c',
]
"""Texts that some JSON readers accept, and that RFC 8259 does not."""
