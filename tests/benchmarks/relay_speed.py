"""How fast is the relay, next to others on the same machine in the same run?

`python -m tests.benchmarks.relay_speed` writes docs/benchmarks.md and its plots; Linux only. The
senders take turns, and a ratio is of two runs of one round, so that whatever else the machine does
meets both of them. Run it on a quiet machine: a higher priority starves the sink, and misleads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.discarding_sink import Sink, discarding_sink
from tests.benchmarks.judge_cost import rows
from tests.benchmarks.page import write_page
from tests.benchmarks.senders import commands

_MIB = 1 << 20
_PEERS = {1: 1_024, 2: 1_024, 8: 1_024, 64: 16}
"""The size of the payload in MiB, for each number of peers."""
_MANY = (1, 10, 100, 1_000, 5_000)
_SIZES = tuple(1 << power for power in (16, 20, 24, 28, 32, 34))
_CURL, _RELAY = "curl", "`relay deploy`"


@dataclass(frozen=True)
class Run:
    """What one sender took for all its peers."""

    sender: str
    peers: int
    payload_bytes: int
    seconds: float
    cpu: float
    """Seconds of processor time."""
    sink_cpu: float
    peak_mib: float
    """Of its largest process."""


def run(sender: str, command: Sequence[str], peers: int, size: int, sink: Sink) -> Run:
    """Run a sender; one in Python measures itself, the others include their start."""
    sink_before, start = sink.cpu_seconds(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{sender} to {peers} peers failed:\n{output.decode()}")
    took = {
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / 1024,
    }
    if output.startswith(b'{"seconds"'):
        took = json.loads(output)
    return Run(sender, peers, size, sink_cpu=sink.cpu_seconds() - sink_before, **took)


class Bench:
    """Runs senders against one sink for each payload."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def rounds(
        self, peers: int, size: int, rounds: int, only: Sequence[str] | None = None
    ) -> list[Run]:
        """Every sender in turn, in each round; the order turns round each time."""
        payload = sparse(self._directory, size)
        runs = []
        with discarding_sink(self._directory, size) as sink:
            lines: Mapping[str, Sequence[str]]
            lines = commands(sink.url, sink.ca_file, payload, peers)
            names = [name for name in lines if only is None or name in only]
            for number in range(rounds):
                for name in names[:: -1 if number % 2 else 1]:
                    runs.append(run(name, lines[name], peers, size, sink))
                    print(json.dumps(asdict(runs[-1])), file=sys.stderr)
        return runs


def sparse(directory: Path, size: int) -> Path:
    payload = directory / "package.tar.gz"
    with payload.open("wb") as file:
        file.write(b"\x1f\x8b\x08")  # the rest is no gzip, but nobody reads it
        file.truncate(size)
    with payload.open("rb") as file:  # the first reader of a file is not the one to compare
        while file.read(_MIB):
            pass
    return payload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=10, help="rounds of the command beside curl")
    parser.add_argument("--results", type=Path, help="read this file, or write it if it is missing")
    options = parser.parse_args()
    results: dict[str, list[Run]]
    judge: list[tuple[str, str]]
    if options.results and options.results.exists():
        loaded = json.loads(options.results.read_text())
        judge = [(what, cost) for what, cost in loaded.pop("judge")]
        results = {name: [Run(**each) for each in runs] for name, runs in loaded.items()}
    else:
        with tempfile.TemporaryDirectory() as name:
            bench = Bench(Path(name))
            relay, sizes, many = ["relay"], [*_SIZES], [*_MANY]
            results = {
                "kill": bench.rounds(8, _PEERS[8] * _MIB, options.pairs, [_CURL, _RELAY]),
                "senders": [
                    each
                    for peers, mib in _PEERS.items()
                    for each in bench.rounds(peers, mib * _MIB, options.rounds)
                ],
                "peers": [r for n in many for r in bench.rounds(n, 1 << 16, 1, relay)],
                "sizes": [r for size in sizes for r in bench.rounds(1, size, 1, relay)],
            }
        judge = [*rows(options.rounds)]
    if options.results:
        plain = {name: [asdict(each) for each in runs] for name, runs in results.items()}
        options.results.write_text(json.dumps({**plain, "judge": judge}))
    write_page(results, judge, Path(__file__).parents[2] / "docs")


if __name__ == "__main__":
    main()
