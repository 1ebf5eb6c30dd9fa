"""Faults of the network to a peer: slow, cut into pieces, lost without a word. Pure.

They combine with the faults of connections, mints and uploads. Each connection takes one turn of
an `in_turn` or a `Sometimes`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

from attrs import Attribute, field, frozen

from deploy_relay_kit.harness.faults.answers import Pause, Script
from deploy_relay_kit.harness.faults.checks import check_choice, check_int, check_number

DelayPlace = Literal["accept", "handshake", "head", "first-byte", "chunk"]
_HEAD_END = b"\r\n\r\n"
_HEAD_LIMIT = 64 * 1024  # a longer head has no body that anybody waits for


@frozen
class Latency:
    """Delay each connection, or each answer, by some seconds.

    Attributes:
        seconds: the delay.
        at: `accept` before the first byte is read; `handshake` before the answer to the
            ClientHello; `head` before the head of each answer; `first-byte` between the head and
            the body of an answer; `chunk` before each block of a body (an event, a chunk, 64 KiB).
        jitter: each delay is longer or shorter by up to this many seconds.
        seed: of the jitter; the timeline of the peer names it.
    """

    seconds: float = field(validator=check_number())
    at: DelayPlace = field(default="head", validator=check_choice(DelayPlace))
    jitter: float = field(default=0.0, validator=check_number())
    seed: int = field(default=0, validator=check_int(least=0))

    @jitter.validator
    def _check_jitter(self, _: Attribute[float], jitter: float) -> None:
        if jitter > self.seconds:
            raise ValueError(f"jitter must be at most seconds, {self.seconds:g}, not {jitter!r}")

    def delay(self, random: Random) -> float:
        """The next delay, in seconds."""
        return self.seconds + self.jitter * random.uniform(-1, 1)


@frozen
class Bandwidth:
    """Receive and send no faster than this, above TLS.

    Attributes:
        receive: bytes per second from a client; 0 has no limit.
        send: bytes per second to a client; 0 has no limit.
    """

    receive: int = field(default=0, validator=check_int(least=0))
    send: int = field(default=0, validator=check_int(least=0))

    @send.validator
    def _check_any(self, _: Attribute[int], send: int) -> None:
        if not self.receive and not send:
            raise ValueError("receive and send are both 0, which is no limit: give at least one")


@frozen
class Slices:
    """Send each answer in slices, each in a segment and a TLS record of its own.

    Attributes:
        size: bytes of a slice.
        variation: each slice is longer or shorter by up to this many bytes.
        pause: seconds between two slices.
        seed: of the variation; the timeline of the peer names it.
    """

    size: int = field(validator=check_int(least=1))
    variation: int = field(default=0, validator=check_int(least=0))
    pause: float = field(default=0.0, validator=check_number())
    seed: int = field(default=0, validator=check_int(least=0))

    @variation.validator
    def _check_variation(self, _: Attribute[int], variation: int) -> None:
        if variation >= self.size:
            raise ValueError(f"variation must be below size, {self.size}, not {variation!r}")

    def next_size(self, random: Random) -> int:
        """The bytes of the next slice."""
        return self.size + random.randint(-self.variation, self.variation)


@frozen
class SlowClose:
    """Announce the end of the connection in each answer, and close this many seconds after it."""

    seconds: float = field(validator=check_number())


@frozen
class HalfOpen:
    """Answer one request, then lose the connection without a word.

    A client that keeps the connection learns nothing until it sends again: then it gets RST, as
    from a machine that was restarted (RFC 9293 section 3.5.1).
    """


NetworkFault = Latency | Bandwidth | Slices | SlowClose | HalfOpen
NetworkGroup = Literal[
    "latency at accept",
    "latency at handshake",
    "latency at head",
    "latency at first-byte",
    "latency at chunk",
    "bandwidth",
    "slices",
    "end of the connection",
]


def network_group(fault: object) -> NetworkGroup | None:
    """What a fault of the network concerns; None for any other object."""
    match fault:
        case Latency(at=at):
            groups: dict[DelayPlace, NetworkGroup] = {
                "accept": "latency at accept",
                "handshake": "latency at handshake",
                "head": "latency at head",
                "first-byte": "latency at first-byte",
                "chunk": "latency at chunk",
            }
            return groups[at]
        case Bandwidth():
            return "bandwidth"
        case Slices():
            return "slices"
        case SlowClose() | HalfOpen():
            return "end of the connection"
    return None


def is_random(fault: object) -> bool:
    """Whether a fault draws from its seed."""
    return bool(getattr(fault, "jitter", 0) or getattr(fault, "variation", 0))


def delayed(script: Script, delay: Callable[[DelayPlace], float]) -> Script:
    """A script with pauses before the head, before the body and before each block of the body.

    Args:
        script: the steps of an answer.
        delay: the seconds at a place.
    """
    head, in_head, is_first = b"", True, True
    for step in script:
        if not isinstance(step, bytes):
            yield step
            continue
        body = step
        if in_head:
            yield from _pause(0 if head else delay("head"))
            end = _end_of_head(head + step)
            size = end - len(head) if end >= 0 else len(step)
            head += step
            in_head = end < 0 and len(head) < _HEAD_LIMIT
            yield step[:size]
            body = step[size:]
        if body:
            yield from _pause(delay("first-byte") if is_first else 0)
            is_first = False
            yield from _pause(delay("chunk"))
            yield body


def _pause(seconds: float) -> Script:
    """A pause; none for 0 s, in which a client that sends no more would count as gone."""
    if seconds > 0:
        yield Pause(seconds)


def _end_of_head(data: bytes) -> int:
    """Where the head of the final answer ends; -1 when it does not end here."""
    start = 0
    while (end := data.find(_HEAD_END, start)) >= 0:
        if not data.startswith(b"HTTP/1.1 1", start):
            return end + len(_HEAD_END)
        start = end + len(_HEAD_END)
    return -1


def sliced(script: Script, size: Callable[[], int], pause: float) -> Script:
    """A script whose bytes are cut into slices, with pauses between them.

    Args:
        script: the steps of an answer.
        size: the bytes of the next slice.
        pause: seconds.
    """
    is_first = True
    for step in script:
        if not isinstance(step, bytes):
            yield step
            continue
        rest = memoryview(step)
        while rest:
            yield from _pause(0 if is_first else pause)
            is_first = False
            length = size()
            yield bytes(rest[:length])
            rest = rest[length:]
