"""A deploy that would never end: the limit of the whole, and uploads that stand still."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import cast

import pytest

from deploy_relay_kit import relay
from tests.relay.driving import DEPLOY
from tests.relay.rawpeers import EVENTS, LAST_CHUNK, OK, Serve, raw_node, taking

STREAM = EVENTS + b"\r\n"
PHASE = b'event: phase\ndata: {"phase":"install"}\n\n'


async def unavailable(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bytes) -> None:
    await reader.readuntil(LAST_CHUNK)
    writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 60\r\n\r\n")


def record_of(serve: Serve, package: Path, total: float, **how: object) -> relay.Record:
    async def run() -> relay.Record:
        async with raw_node(serve) as node:
            limits = relay.Limits(total=total)
            report = await relay.deploy([node], DEPLOY, package, limits=limits, **how)  # type: ignore[arg-type]
            return report.records[0]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answers", "pause"),
    [
        ([STREAM, *[b": alive\n\n"] * 1_000], 0.02),
        ([STREAM, *[PHASE] * 1_000], 0.02),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b" "] * 1_000], 0.02),
        ([], 0.0),
    ],
    ids=["comments", "events", "a slow body", "silence"],
)
def test_a_deploy_ends_at_its_limit(package: Path, answers: list[bytes], pause: float) -> None:
    record = record_of(taking(*answers, pause=pause), package, 0.4)
    assert record["reason"] == "the deploy did not end in 0.4 s"
    assert (record["stage"], record["uncertain"]) == ("answer", True)


def test_a_node_that_did_not_get_the_whole_payload_has_not_deployed(package: Path) -> None:
    os.truncate(package, 64_000_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bytes) -> None:
        transport = cast("asyncio.Transport", writer.transport)
        while not reader.at_eof():
            transport.pause_reading()
            await asyncio.sleep(0.02)  # a slow peer
            transport.resume_reading()
            await reader.read(1 << 20)

    record = record_of(serve, package, 0.4)
    assert (record["stage"], "uncertain" in record) == ("upload", False)
    assert record["reason"] == "the deploy did not end in 0.4 s"


def test_the_limit_ends_the_wait_for_another_attempt(package: Path) -> None:
    record = record_of(unavailable, package, 0.4, retry=relay.Retry(attempts=5))
    assert (record["statusCode"], record.get("attempts")) == (503, None)


def test_a_mint_ends_at_the_limit_of_the_deploy(package: Path) -> None:
    class Slow:
        async def mint(self, _: relay.MintContext, /) -> str:
            await asyncio.Future[None]()
            raise AssertionError

    node = relay.Node("n", "https://127.0.0.1:9/", mint=Slow())
    limits = relay.Limits(total=0.1)
    report = asyncio.run(relay.deploy([node], DEPLOY, package, limits=limits))
    assert report.records[0]["reason"] == "the deploy did not end in 0.1 s"


@pytest.mark.parametrize("second", ["success", "refusal"])
def test_an_upload_that_stands_still_after_an_early_answer_is_repeated_without_events(
    package: Path, second: str
) -> None:
    """As behind a proxy that passes no more of the upload on and hides its name."""
    os.truncate(package, 64_000_000)
    asked: list[bool] = []
    lost = asyncio.Event()  # the relay has given up: it asks again
    events: list[relay.Event] = []

    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
    ) -> None:
        asked.append(b"text/event-stream" in head)
        if asked[-1]:
            cast("asyncio.Transport", writer.transport).pause_reading()
            writer.write(STREAM + b": stream open\n\n")
            await asyncio.wait_for(lost.wait(), 30)
            return
        lost.set()
        await reader.readuntil(LAST_CHUNK)
        writer.write(OK if second == "success" else OK.replace(b"200 OK", b"500 No"))

    async def run() -> relay.Record:
        async with raw_node(serve) as node:
            report = await relay.deploy(
                [node],
                DEPLOY,
                package,
                ask_for_events=True,
                limits=relay.Limits(stall=0.5),
                on_event=events.append,
            )
            return report.records[0]

    record = asyncio.run(run())
    assert asked == [True, False]
    assert "attempts" not in record
    [said] = [event.data["reason"] for event in events if event.name == "no_events"]
    assert "a proxy in front of the node" in said
    if second == "success":
        assert record == {"node": "n", "status": "success"}
    else:
        assert record["statusCode"] == 500
        assert "proxy in front of it stopped reading" in record["hint"]
