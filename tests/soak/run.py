"""Deploy for an hour to 50 peers that draw from every fault and flood at once.

Run by hand: `nice python -m tests.soak.run [--seconds 3600] [--seed N] [--log FILE]`. Every round
has a new cluster; the relay is one process for all rounds. Each record is compared with the one
that follows from its peer's fault. Prints the seed, each difference, and at the end a JSON document
with what the relay held after the rounds; the exit code is 0 if nothing differs and nothing is
left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy_relay_kit.harness.cluster import FakeCluster
from tests.soak.oracle import ROLES, Role

PEERS = 50
WARM = 5  # rounds until caches are full
GROWTH = 16 << 20  # bytes of memory that are no leak
# Far beyond what a peer takes to be served by the one process of all fake peers, while some flood.
# A peer that hangs in its handshake closes after a minute.
LIMITS = {"connect": 30.0, "mint": 90.0, "stall": 60.0, "answer": 90.0, "total": 900.0}
SLOW_ROUNDS = 1 / 8  # in which some peers reach a limit


class Relay:
    """The process of the relay."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(directory)},
        )

    def deploy(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(command)}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(timeout=60)


def roles_of(draw: random.Random, size: int) -> list[Role]:
    """Most rounds wait for no limit, so that there are more rounds."""
    may_be_slow = draw.random() < SLOW_ROUNDS
    possible = [role for role in ROLES if size >= role.least and (may_be_slow or not role.is_slow)]
    return [draw.choice(possible) for _ in range(PEERS)]


def one_round(relay: Relay, draw: random.Random, package: Path) -> dict[str, Any]:
    """Deploy once; the answer of the relay, with `differences`."""
    size = draw.choice([1, 1_000, 100_000, 1 << 20, 8 << 20])
    package.write_bytes(b"\x1f\x8b" + draw.randbytes(min(size, 1 << 20)))
    os.truncate(package, size)
    roles = roles_of(draw, size)
    with FakeCluster() as cluster:
        peers = [cluster.peer(fault=role.fault(draw)) for role in roles]
        command = {
            "nodes": [
                {"name": it.name, "url": it.url, "username": it.username, "password": it.password}
                for it in peers
            ],
            "payload": str(package),
            "ca_file": str(cluster.ca_file),
            "attempts": draw.choice([1, 1, 2]),
            "events": draw.random() < 1 / 2,
            "limits": {**LIMITS, "concurrency": draw.choice([None, None, 8])},
        }
        answer = relay.deploy(command)
    answer["differences"] = [
        {"role": role.name, "record": record}
        for role, record in zip(roles, answer.pop("records"), strict=True)
        if role.differs(record)
    ]
    if answer["settled"] != PEERS:
        answer["differences"].append({"settled": answer["settled"]})
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3_600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--log", type=Path, help="a line of JSON for each round")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    draw, rounds = random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as name:
        package, left = Path(name) / "package.tar.gz", Path(name) / "tmp"
        left.mkdir()
        relay = Relay(left)
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end:
            rounds.append(one_round(relay, draw, package))
            for difference in rounds[-1]["differences"]:
                print(f"round {len(rounds)}: {json.dumps(difference)[:500]}", flush=True)
            if arguments.log is not None:
                with arguments.log.open("a") as log:
                    log.write(f"{json.dumps(rounds[-1])}\n")
        code, files = relay.end(), [file.name for file in left.iterdir()]
    summary = summary_of(rounds) | {"exit code": code, "files left": files}
    print(json.dumps(summary, indent=2))
    held = [it["held"] for it in rounds]
    flat = held[-1]["rss"] - held[min(WARM, len(held) - 1)]["rss"] < GROWTH
    nothing_left = all(it["processes"] == 0 and it["threads"] == 1 for it in held) and not files
    same = held[-1]["descriptors"] == held[0]["descriptors"]
    return 0 if flat and nothing_left and same and not code and not summary["differences"] else 1


def summary_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    held = [it["held"] for it in rounds]
    return {
        "rounds": len(rounds),
        "records": len(rounds) * PEERS,
        "differences": sum(len(it["differences"]) for it in rounds),
        "longest deploy in seconds": round(max(it["spent"][0] for it in rounds), 1),
        "processor seconds of the relay": round(sum(it["spent"][1] for it in rounds), 1),
        "memory in MiB after rounds": {
            str(at + 1): held[at]["rss"] >> 20
            for at in sorted({0, min(WARM, len(held) - 1), len(held) // 2, len(held) - 1})
        },
        "most memory in MiB": max(it["rss"] for it in held) >> 20,
        "descriptors": sorted({it["descriptors"] for it in held}),
        "threads": sorted({it["threads"] for it in held}),
        "processes": sorted({it["processes"] for it in held}),
    }


if __name__ == "__main__":
    sys.exit(main())
