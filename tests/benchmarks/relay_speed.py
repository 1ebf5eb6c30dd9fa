"""How fast is the relay, next to others on the same machine in the same run?

Run by hand: `python -m tests.benchmarks.relay_speed [--gib 1] [--rounds 5] [--json FILE]`. Prints a
table: the median throughput, and the ratios to a raw `SSLSocket.sendall` loop, as their median and
spread. The senders take turns, and a ratio is of two runs of one round, so that whatever else the
machine does meets both of them. curl, Node and httpx take part when they are there; the time and
CPU of curl and Node include starting them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.tls_sink import tls_sink

_GIB = 1 << 30
_NODE_SENDER = Path(__file__).with_name("node_https.mjs")


def python_sender(name: str, *arguments: str) -> dict[str, float]:
    """Run one of `senders.py`; it measures itself, without the start of Python."""
    command = [sys.executable, "-m", "tests.benchmarks.senders", name, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout))


def program(*command: str) -> dict[str, float]:
    """Run a foreign sender and measure it from outside."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return {"seconds": seconds, "cpu": cpu}


def one_run(name: str, url: str, ca_file: str, payload: str) -> dict[str, float]:
    match name:
        case "curl -F":
            form = ["operation=deploy_component", "project=demo", "replicated=false"]
            fields = [part for text in form for part in ("-F", text)]
            file = ["-F", f"payload=@{payload};type=application/gzip"]
            return program(
                "curl", "-sS", "--noproxy", "*", "--cacert", ca_file, *fields, *file, url
            )
        case "node https":
            return program("node", str(_NODE_SENDER), url, ca_file, payload)
        case "relay, 8 peers":
            return python_sender("relay", url, ca_file, payload, "8")
        case _:
            return python_sender(name, url, ca_file, payload)


def senders() -> list[str]:
    found = ["raw", "relay", "relay, 8 peers"]
    found += ["curl -F"] if shutil.which("curl") else []
    found += ["httpx"] if importlib.util.find_spec("httpx") else []
    found += ["node https"] if shutil.which("node") else []
    return found


def throughput(directory: Path, gib: float, rounds: int) -> dict[str, Any]:
    """Every sender in turn, one payload to one peer; and the relay to eight."""
    payload = sparse(directory, int(gib * _GIB))
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in senders()}
    with tls_sink(directory) as (url, ca_file):
        for _ in range(rounds):
            for name, taken in runs.items():
                taken.append(one_run(name, url, str(ca_file), str(payload)))
    gigabytes = payload.stat().st_size / 1e9
    return {name: _compared(name, taken, runs["raw"], gigabytes) for name, taken in runs.items()}


def _compared(
    name: str, taken: list[dict[str, float]], raw: list[dict[str, float]], gigabytes: float
) -> dict[str, Any]:
    """The runs of one sender, each next to that of the raw loop in the same round."""
    times = 8 if "8 peers" in name else 1
    pairs = list(zip(taken, raw, strict=True))
    return {
        "mb_per_second": round(
            statistics.median(times * gigabytes * 1_000 / run["seconds"] for run in taken)
        ),
        "throughput_to_raw": _spread([times * r["seconds"] / run["seconds"] for run, r in pairs]),
        "cpu_seconds_per_gb": round(
            statistics.median(run["cpu"] for run in taken) / (times * gigabytes), 3
        ),
        "cpu_to_raw": _spread([run["cpu"] / (times * r["cpu"]) for run, r in pairs]),
    }


def _spread(ratios: list[float]) -> dict[str, float]:
    found = {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {name: round(ratio, 3) for name, ratio in found.items()}


def many_peers(directory: Path, peers: int) -> dict[str, Any]:
    """A small payload to many peers: what one peer costs."""
    payload = sparse(directory, 65_536)
    with tls_sink(directory) as (url, ca_file):
        runs = {
            count: python_sender("relay", url, str(ca_file), str(payload), str(count))
            for count in (peers // 2, peers)
        }
    whole = runs[peers]
    return {
        "peers": peers,
        "seconds": round(whole["seconds"], 2),
        "cpu_ms_per_peer": round(whole["cpu"] * 1_000 / peers, 2),
        "grew_kib_per_peer": {n: round(run["grew_mib"] * 1_024 / n) for n, run in runs.items()},
    }


def flat_memory(directory: Path, gib: float, peers: int) -> dict[str, Any]:
    """A large payload to several peers at once: how far memory goes."""
    payload = sparse(directory, int(gib * _GIB))
    with tls_sink(directory) as (url, ca_file):
        run = python_sender("relay", url, str(ca_file), str(payload), str(peers))
    return {"gib": gib, "peers": peers, "grew_mib": round(run["grew_mib"], 1)}


def sparse(directory: Path, size: int) -> Path:
    payload = directory / "package.tar.gz"
    with payload.open("wb") as file:
        file.truncate(size)
    with payload.open("rb") as file:  # the first reader of a file is not the one to compare
        while file.read(1 << 20):
            pass
    return payload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1, help="payload of the comparison")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=int, default=1_000, help="peers of the many-peers run")
    parser.add_argument("--large-gib", type=float, default=4, help="payload of the memory run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        results = {
            "throughput": throughput(directory, options.gib, options.rounds),
            "many_peers": many_peers(directory, options.peers),
            "memory": flat_memory(directory, options.large_gib, 8),
        }
    print(f"{'sender':16}{'MB/s':>6}  {'to raw':22}{'CPU s/GB':>8}  to raw")
    for sender, seen in results["throughput"].items():
        throughput_to_raw, cpu_to_raw = (
            "{median:.2f} ({lowest:.2f} to {highest:.2f})".format(**seen[figure])
            for figure in ("throughput_to_raw", "cpu_to_raw")
        )
        print(
            f"{sender:16}{seen['mb_per_second']:6}  {throughput_to_raw:22}"
            f"{seen['cpu_seconds_per_gb']:8}  {cpu_to_raw}"
        )
    print("many peers:", results["many_peers"])
    print("memory:", results["memory"])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
