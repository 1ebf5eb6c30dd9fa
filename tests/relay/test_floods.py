"""Peers that never stop sending: each has a failed record, and the others go on (AGG-04)."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from deploy_relay_kit import relay
from tests.relay.driving import DEPLOY
from tests.relay.rawpeers import EVENTS, OK, Serve, chunked, flooding, raw_node, taking

STREAM = EVENTS + b"\r\n"
IN_CHUNKS = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b'event: install\ndata: {"line":"x"}\n\n'
LONG_EVENT = b'event: install\ndata: {"line":"' + b"x" * 60_000 + b'"}\n\n'
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"

FLOODS: dict[str, tuple[Serve, str]] = {
    "comments": (flooding(STREAM, b":\n" * 20_000), "1048576 bytes without an event"),
    "named comments": (flooding(STREAM, b": alive\r\n\r\n" * 5_000), "bytes without an event"),
    "empty lines": (flooding(STREAM, b"\n" * 40_000), "bytes without an event"),
    "unknown fields": (flooding(STREAM, b"id: 7\n" * 5_000), "bytes without an event"),
    "one event without end": (flooding(STREAM + b"data: ", b"x" * 40_000), "an event is longer"),
    "one event of many lines": (flooding(STREAM, b"data:\n" * 5_000), "an event is longer"),
    "small events": (flooding(STREAM, EVENT * 1_000), "more than 100000 events"),
    "unnamed events": (flooding(STREAM, b"data: x\n\n" * 5_000), "more than 100000 events"),
    "long events": (flooding(STREAM, LONG_EVENT), "is longer than 17825792 bytes"),
    "comments in tiny chunks": (
        flooding(IN_CHUNKS, chunked(b":\n" * 5_000, 1)),
        "bytes without an event",
    ),
    "an answer in tiny chunks": (
        flooding(IN_CHUNKS.replace(b"event-stream", b"plain"), chunked(b"x" * 5_000, 1)),
        "the answer is longer than 1048576 bytes",
    ),
    "a refusal in tiny chunks": (
        flooding(IN_CHUNKS.replace(b"200", b"500"), chunked(b"x" * 5_000, 1)),
        "x" * 200,
    ),
    "interim answers": (flooding(b"", INTERIM * 1_000), "not the head of an answer"),
    "header lines": (flooding(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n" * 1_000), ""),
    "one header line": (flooding(b"HTTP/1.1 200 OK\r\nx-more: ", b"x" * 40_000), ""),
    "a status line": (flooding(b"HTTP/1.1 200 ", b"x" * 40_000), ""),
    "empty lines before the head": (flooding(b"", b"\r\n" * 20_000), ""),
    "chunk extensions": (
        flooding(IN_CHUNKS + b"1;", b"x" * 1_000_000),
        "but not the end of its answer",
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_at_a_limit(package: Path, name: str) -> None:
    serve, reason = FLOODS[name]

    async def run() -> list[relay.Record]:
        async with raw_node(serve, "flood") as flood, raw_node(taking(OK), "other") as other:
            return (await relay.deploy([flood, other], DEPLOY, package)).records

    record, other = asyncio.run(run())
    assert other == {"node": "other", "status": "success"}
    assert record["status"] == "failed"
    assert reason in record["reason"]


@pytest.mark.parametrize("before", [0, 1_000])
def test_interim_answers_change_nothing(package: Path, before: int) -> None:
    async def run() -> list[relay.Record]:
        async with raw_node(taking(INTERIM * before, OK)) as node:
            return (await relay.deploy([node], DEPLOY, package)).records

    assert asyncio.run(run()) == [{"node": "n", "status": "success"}]


def test_a_long_install_is_no_flood(package: Path) -> None:
    """Thousands of lines, comments in between, and an answer of a megabyte."""
    done = b'event: done\ndata: {"result":{"log":"' + b"x" * 1_000_000 + b'"}}\n\n'
    events: list[relay.Event] = []

    async def run() -> list[relay.Record]:
        lines = (EVENT * 100 + b": alive\n\n") * 200
        async with raw_node(taking(EVENTS + b"Connection: close\r\n\r\n", lines, done)) as node:
            limits = relay.Limits(answer=30)
            report = await relay.deploy(
                [node], DEPLOY, package, limits=limits, on_event=events.append
            )
            return report.records

    [record] = asyncio.run(run())
    assert len(str(record["log"])) == 1_000_000
    assert len([event for event in events if event.name == "install"]) == 20_000


def test_the_floods_of_a_cluster_together_leave_time_for_an_upload(package: Path) -> None:
    """Their reading waits: while they send without end, a healthy node is served to its end."""
    ended: list[str] = []

    def listen(event: relay.Event) -> None:
        if event.name == "settled":
            ended.append(event.node)

    async def run() -> list[relay.Record]:
        async with contextlib.AsyncExitStack() as stack:
            nodes = []
            for at in range(10):
                flood = raw_node(FLOODS["comments"][0], f"flood-{at}")
                nodes.append(await stack.enter_async_context(flood))
            nodes.append(await stack.enter_async_context(raw_node(taking(OK), "other")))
            return (await relay.deploy(nodes, DEPLOY, package, on_event=listen)).records

    records = asyncio.run(run())
    assert [record["status"] for record in records] == [*["failed"] * 10, "success"]
    assert ended[0] == "other"
