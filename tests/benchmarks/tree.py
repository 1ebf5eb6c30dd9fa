"""How long does a deploy take through one origin, or through a tree of origins? A simulation.

`python -m tests.benchmarks.tree` checks the simulation of one level against real deploys of the
relay over a limited uplink, and writes the tables of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy_relay_kit import relay
from deploy_relay_kit.harness import FakeCluster

_MIB = 1 << 20
TOLERANCE = 0.15
"""Of the simulated time of one level, against the measured one."""
CHECKED = ((2, 8 * _MIB, 8e6), (8, 2 * _MIB, 8e6), (16, 2 * _MIB, 16e6), (32, _MIB, 8e6))
"""Peers, bytes of the payload and bytes per second of the uplink of the real deploys."""
SIZES = {"16 MiB": 16 * _MIB, "256 MiB": 256 * _MIB, "4 GiB": 4_096 * _MIB}
UPLINKS = {"100 Mbit/s": 12.5e6, "1 Gbit/s": 125e6, "10 Gbit/s": 1_250e6}
PEERS, FANOUTS = (8, 64, 1_000), (2, 4, 8, 16)
_SETUP, _DEPLOY = 0.05, 5.0  # seconds, in the tables

Row = tuple[int, int, float, float, float]
"""Peers, bytes, bytes per second, measured and simulated seconds."""


@dataclass(frozen=True)
class Cluster:
    """What a simulated cluster is made of.

    Attributes:
        uplink: bytes per second that a node can send, the median of all.
        spread: standard deviation of the logarithm of the uplinks; 0: all are equal.
        setup: seconds from the decision to serve a node to the first byte of the payload (lookup,
            connections, mint).
        deploy: seconds that a node takes from the last byte to its answer.
    """

    uplink: float
    spread: float = 0.0
    setup: float = 0.05
    deploy: float = 0.0


def simulate(cluster: Cluster, payload: float, peers: int, fanout: int, seed: int = 0) -> float:
    """Seconds until the last of the peers has answered.

    The nodes are a complete tree with so many children each. A node passes the payload on when it
    has the whole of it and has deployed it, to all its children at once, who share its uplink.
    With `fanout` = `peers` it is one level, the deploy of today.
    """
    draw = random.Random(seed)
    uplinks = [cluster.uplink * draw.lognormvariate(0, cluster.spread) for _ in range(peers + 1)]
    ready = [0.0] * (peers + 1)  # node 0 is the origin, which has the payload
    last = 0.0
    for node in range(peers + 1):
        children = range(fanout * node + 1, min(fanout * node + fanout, peers) + 1)
        if children:
            # Equal shares of equal amounts end at the same time.
            sent = ready[node] + cluster.setup + len(children) * payload / uplinks[node]
            for child in children:
                ready[child] = sent + cluster.deploy
            last = max(last, sent + cluster.deploy)
    return last


def best_fanout(cluster: Cluster, payload: float, peers: int) -> tuple[int, float]:
    """The fan-out with the lowest median time over ten seeds, and that time."""
    times = [
        (statistics.median(simulate(cluster, payload, peers, k, seed) for seed in range(10)), k)
        for k in {2, 3, 4, 6, 8, 12, 16, 24, 32, 64, peers}
        if k <= peers
    ]
    seconds, fanout = min(times)
    return fanout, seconds


def pays_from(cluster: Cluster, payload: float, fanout: int, most: int = 1_000) -> int | None:
    """The least number of peers from which a tree of this fan-out always takes less time."""
    loses_at = fanout
    for peers in range(fanout + 1, most + 1):
        one_level = simulate(cluster, payload, peers, peers)
        if simulate(cluster, payload, peers, fanout) >= one_level:
            loses_at = peers
    return loses_at + 1 if loses_at < most else None


def measured(peers: int, payload: int, uplink: float, directory: Path) -> float:
    """Seconds that the relay takes for one level, over an uplink that `Limits.rate` imitates."""
    package = directory / "package.tar.gz"
    package.write_bytes(bytes(payload))  # no fake peer unpacks it
    with FakeCluster() as cluster:
        nodes = [
            relay.Node(it.name, it.url, mint=relay.OperationsMint(it.username, it.password))
            for it in (cluster.peer() for _ in range(peers))
        ]
        begin = time.monotonic()
        report = asyncio.run(
            relay.deploy(
                nodes,
                {"operation": "deploy_component", "project": "demo"},
                package,
                tls=relay.Tls(cluster.ca_file),
                limits=relay.Limits(rate=uplink),
            )
        )
        took = time.monotonic() - begin
    if not report.succeeded:
        sys.exit(f"a node failed: {report.failed}")
    return took


def checked(cases: Sequence[tuple[int, int, float]]) -> list[Row]:
    """The cases, each with the measured and the simulated seconds; medians of three runs."""
    rows = []
    with tempfile.TemporaryDirectory() as name:

        def median(peers: int, payload: int, uplink: float) -> float:
            runs = [measured(peers, payload, uplink, Path(name)) for _ in range(3)]
            return statistics.median(runs)

        for peers, payload, uplink in cases:
            cluster = Cluster(uplink, setup=median(peers, 1, uplink))
            real = median(peers, payload, uplink)
            rows.append((peers, payload, uplink, real, simulate(cluster, payload, peers, peers)))
    return rows


def tables(rows: Sequence[Row]) -> dict[str, list[Sequence[object]]]:
    """The tables of the page, each with its head."""

    def table(first: str, cell: Callable[[float, float], object]) -> list[Sequence[object]]:
        body = [
            [name, *(cell(uplink, size) for uplink in UPLINKS.values())]
            for name, size in SIZES.items()
        ]
        return [[first, *UPLINKS], *body]

    def alike(uplink: float) -> Cluster:
        return Cluster(uplink, setup=_SETUP, deploy=_DEPLOY)

    def pay(uplink: float, size: float) -> str:
        return " / ".join(str(pays_from(alike(uplink), size, k) or "over 1,000") for k in FANOUTS)

    def best(uplink: float, size: float) -> str:
        cluster = replace(alike(uplink), spread=0.3)
        found = (best_fanout(cluster, size, n) for n in PEERS)
        return " / ".join(f"{fanout}: {seconds:,.0f} s" for fanout, seconds in found)

    check: list[Sequence[object]] = [
        [
            peers,
            f"{size / _MIB:g} MiB",
            f"{uplink / 1e6:g} MB/s",
            f"{real:.2f} s",
            f"{simulated:.2f} s",
            f"{simulated / real:.2f}",
        ]
        for peers, size, uplink, real, simulated in rows
    ]
    return {
        "one level": table(
            "payload", lambda uplink, size: " / ".join(f"{n * size / uplink:,.0f}" for n in PEERS)
        ),
        "pays from": table("payload", pay),
        "best": table("payload", best),
        "check": [
            ["peers", "payload", "uplink", "measured", "simulated", "simulated to measured"],
            *check,
        ],
    }


def filled(page: str, found: Mapping[str, list[Sequence[object]]]) -> str:
    """The page with each table between its two comments."""
    for name, (head, *rows) in found.items():
        lines = [f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)]
        begin = f"<!-- table: {name} -->\n"
        before, rest = page.split(begin)
        page = before + begin + "\n".join(["", *lines, "", ""]) + rest[rest.index("<!-- end -->") :]
    return page


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rows = checked(CHECKED)
    file = Path(__file__).parents[2] / "docs" / "scaling.md"
    file.write_text(filled(file.read_text(), tables(rows)))
    for peers, _, _, real, simulated in rows:
        print(f"{peers} peers: measured {real:.2f} s, simulated {simulated:.2f} s")
    if any(abs(simulated / real - 1) > TOLERANCE for *_, real, simulated in rows):
        sys.exit(f"the simulation is off by more than {TOLERANCE:.0%}: see docs/scaling.md")


if __name__ == "__main__":
    main()
