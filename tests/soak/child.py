"""The relay of the soak: deploys again and again in one process, and tells what it holds."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from deploy_relay_kit import relay


def node_in(given: dict[str, Any]) -> relay.Node:
    mint = relay.OperationsMint(given["username"], given["password"])
    return relay.Node(given["name"], given["url"], mint=mint)


async def deploy(command: dict[str, Any]) -> tuple[list[relay.Record], int]:
    events: list[str] = []
    report = await relay.deploy(
        [node_in(given) for given in command["nodes"]],
        {"operation": "deploy_component", "project": "soak"},
        command["payload"],
        retry=relay.Retry(attempts=command["attempts"], first_delay=0.01),
        ask_for_events=command["events"],
        tls=relay.Tls(Path(command["ca_file"])),
        limits=relay.Limits(**command["limits"]),
        on_event=lambda event: events.append(event.name),
    )
    return report.records, events.count("settled")


def held() -> dict[str, int]:
    """What the process holds while no deploy runs, without freed memory that is kept for reuse."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    process = psutil.Process()
    return {
        "rss": process.memory_info().rss,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
        "processes": len(process.children()),
    }


def main() -> None:
    for line in sys.stdin:
        begin = time.monotonic(), time.process_time()
        records, settled = asyncio.run(deploy(json.loads(line)))
        spent = time.monotonic() - begin[0], time.process_time() - begin[1]
        answer = {"records": records, "settled": settled, "spent": spent, "held": held()}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
