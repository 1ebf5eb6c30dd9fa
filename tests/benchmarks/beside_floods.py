"""How much longer does a healthy upload take beside a peer that floods than beside an idle one?

Run by hand: `python -m tests.benchmarks.beside_floods [--rounds 5] [--mib 512]`. The healthy peer
is the discarding sink. The other peer is in a process of its own: it reads the head of the request,
then floods, or is idle. Prints a table: the ratio of two deploys that follow each other, its
median, lowest and highest, and what the flood had sent when the healthy upload was over.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from deploy_relay_kit import relay
from tests.benchmarks.discarding_sink import Sink, discarding_sink
from tests.benchmarks.relay_speed import sparse
from tests.relay.test_floods import FLOODS

_IDLE = "nothing"


class _TakenUpload:
    """Has read the whole upload already, so that a flood of `FLOODS` begins at once."""

    async def readuntil(self, _: bytes) -> bytes:
        return b""


class _Counted:
    """Counts what is written."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.count = 0

    def write(self, data: bytes) -> None:
        self.count += len(data)
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


def other_peer(pipe: Connection) -> None:
    """Child process: sends its port, then gets a flood, and says what the last one has sent."""

    async def serve_all() -> None:
        name, sent = "", list[_Counted]()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sent.append(_Counted(writer))
            with contextlib.suppress(ConnectionError):
                await reader.readuntil(b"\r\n\r\n")
                if name == _IDLE:
                    await asyncio.Event().wait()
                await cast("Any", FLOODS[name][0])(_TakenUpload(), sent[-1], b"")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            pipe.send(server.sockets[0].getsockname()[1])
            while True:
                name = await asyncio.to_thread(pipe.recv)
                pipe.send(sum(each.count for each in sent))
                sent.clear()

    asyncio.run(serve_all())


async def healthy_seconds(sink: Sink, port: int, payload: Path) -> float:
    """Seconds until the record of the healthy peer is there; then the deploy is cancelled."""
    settled = asyncio.get_running_loop().create_future()

    def listen(event: relay.Event) -> None:
        if event.node == "healthy" and event.name == "settled":
            settled.set_result((time.perf_counter(), event.data["record"]))

    mint = relay.GivenToken("t")
    nodes = [
        relay.Node("other", f"http://127.0.0.1:{port}/", mint=mint),
        relay.Node("healthy", sink.url, mint=mint),
    ]
    request = {"operation": "deploy_component", "project": "demo"}
    begin = time.perf_counter()
    tls, how = relay.Tls(ca_file=sink.ca_file), {"ask_for_events": True, "processes": 1}
    deploy = asyncio.create_task(
        relay.deploy(nodes, request, payload, tls=tls, on_event=listen, **cast("Any", how))
    )
    end, record = await settled
    deploy.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await deploy
    assert record["status"] == "success", record
    return float(end - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512)
    options = parser.parse_args()
    pipe, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=other_peer, args=(theirs,), daemon=True
    )
    process.start()
    port, size = pipe.recv(), options.mib << 20
    print(
        f"{os.cpu_count()} cores, {options.mib} MiB to the healthy peer, {options.rounds} rounds\n"
    )
    print("| the other peer floods with | healthy upload, to that beside an idle peer | MB sent |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        payload = sparse(Path(name), size)
        with discarding_sink(Path(name), size) as sink:

            def measure(flood: str) -> tuple[float, int]:
                pipe.send(flood)
                pipe.recv()
                seconds = asyncio.run(healthy_seconds(sink, port, payload))
                pipe.send(_IDLE)
                return seconds, pipe.recv()

            measure(_IDLE)
            for flood in FLOODS:
                ratios, sent = [], []
                for _ in range(options.rounds):
                    idle, _ = measure(_IDLE)
                    beside, count = measure(flood)
                    ratios.append(beside / idle)
                    sent.append(count)
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                megabytes = statistics.median(sent) / 1e6
                ratio = f"{statistics.median(ratios):.2f} ({spread})"
                print(f"| {flood} | {ratio} | {megabytes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
