"""Memory: what a relay holds grows neither with the payload nor with what a peer says."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cluster import FakeCluster
from harness.faults.answers import Answer, End, Script
from harness.faults.events import EventStream, success_events
from harness.faults.kinds import Fault, MintAnswer
from harness.judge.cases.relay import Relay
from harness.replication.faults import HugeAnswer
from harness.targets import ReplicationMint
from harness.targets.processes import watch_processes

requirement = pytest.mark.requirement
# The kit's own tests, which run these cases too, make do with less.
HUGE = int(os.environ.get("RELAY_HARNESS_HUGE_MB", "1000"))  # megabytes
MUCH = 60  # megabytes

SLACK = 32
"""Megabytes: more than buffers and chance need, much less than any payload or answer here."""

GARBAGE = 8
"""This part of a payload may lie about as garbage, in a runtime that collects it now and then."""


def growth(relay: Relay, deploy: Callable[[int], object], little: int, much: int) -> int:
    """How many megabytes more the relay holds during a deploy of much than during one of little.

    They are those of all processes that it consists of, together, while they are at it.
    """
    # Where the reference runs in this process, what earlier cases left here is not its own.
    gc.collect()
    with contextlib.suppress(AttributeError):  # glibc keeps what was freed; others do not, or less
        ctypes.CDLL(None).malloc_trim(0)
    held = []
    for amount in (little, much):
        with watch_processes(relay.target.pid, every=0.01) as shown:
            deploy(amount)
        held.append(shown.memory)
    return (held[1] - held[0]) // 1_000_000


@requirement("BUG-20")
def test_memory_does_not_grow_with_the_payload(
    cluster: FakeCluster, relay: Relay, tmp_path: Path
) -> None:
    peer = cluster.peer()

    def deploy(megabytes: int) -> None:
        payload = tmp_path / f"{megabytes}.tar.gz"
        payload.touch()
        os.truncate(payload, megabytes * 1_000_000)
        assert relay.deploy(to=[peer], payload=payload)[peer].status == "success"

    assert growth(relay, deploy, 10, HUGE) < max(SLACK, HUGE // GARBAGE)


def long_answer(megabytes: int, status: int = 200) -> Answer:
    return Answer(status, body=b"no end; " * 125_000, times=megabytes, content_type="text/plain")


@requirement("BUG-30")
@pytest.mark.parametrize("status", [200, 500])
def test_memory_does_not_grow_with_an_answer(
    cluster: FakeCluster, relay: Relay, status: int
) -> None:
    def deploy(megabytes: int) -> None:
        relay.deploy(to=[cluster.peer(fault=long_answer(megabytes, status))])

    assert growth(relay, deploy, 1, MUCH) < SLACK


class LongHead(Answer):
    """An answer of so many megabytes of header lines."""

    def script(self, *, keep_alive: bool) -> Script:
        del keep_alive
        yield b"HTTP/1.1 200 OK\r\n"
        for _ in range(self.times * 100):
            yield (b"x-more: " + b"no end; " * 124 + b"\r\n") * 10
        yield b"content-length: 0\r\n\r\n"
        yield End.CLOSE


def one_head(megabytes: int) -> Fault:
    return LongHead(times=megabytes)


def one_event(megabytes: int) -> Fault:
    pieces = itertools.repeat("no end; " * 12_500, megabytes * 10)
    return EventStream(
        itertools.chain(["event: install\ndata: "], pieces, ["\n\n"], success_events())
    )


@requirement("BUG-30")
@pytest.mark.parametrize("endless", [one_head, one_event], ids=lambda it: it.__name__)
def test_memory_does_not_grow_with_a_head_or_an_event(
    cluster: FakeCluster, relay: Relay, endless: Callable[[int], Fault]
) -> None:
    def deploy(megabytes: int) -> None:
        outcome = relay.deploy(to=[cluster.peer(fault=endless(megabytes))])
        assert len(outcome.records) == 1

    assert growth(relay, deploy, 1, MUCH) < SLACK


@requirement("BUG-30", "SEQ-06")
def test_memory_does_not_grow_with_the_answer_of_a_mint(cluster: FakeCluster, relay: Relay) -> None:
    def deploy(megabytes: int) -> None:
        peer = cluster.peer(fault=MintAnswer(long_answer(megabytes)))
        relay.deploy(to=[relay.minting(peer)])

    assert growth(relay, deploy, 1, MUCH) < SLACK


@requirement("BUG-30", "SEQ-06")
def test_memory_does_not_grow_with_the_answer_of_a_socket(
    cluster: FakeCluster, relay: Relay
) -> None:
    def deploy(megabytes: int) -> None:
        peer = cluster.peer()
        socket = cluster.replication(peer, fault=HugeAnswer(megabytes * 1_000_000))
        node = relay.node(peer, mint=ReplicationMint(), replication_url=socket.url)
        relay.deploy(to=[node])

    assert growth(relay, deploy, 1, MUCH) < SLACK
