"""The page of the benchmark, docs/benchmarks.md, and its plots."""

from __future__ import annotations

import math
import os
import platform
import ssl
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.benchmarks.relay_speed import Run

_MIB = 1 << 20
_COLORS = ("#1b6ca8", "#d1495b", "#3c8d2f", "#8a5fbf", "#b8860b", "#444444")
_CHEAP = 0.1  # of the sender's CPU; a dearer sink takes part in the result
Line = Sequence[tuple[float, float]]

_INTRO = """\
# Benchmarks

`python -m tests.benchmarks.relay_speed` measures, and writes this page and its plots. The machine
of these figures: {machine}.

The peer is a sink: it completes the TLS handshake, then discards the ciphertext without decrypting
it, so that the sender is what is measured. Sender and sink share the machine. The senders take
turns in {rounds} rounds. A figure is a median. A ratio is of two runs of the same round, and stands
with its lowest and highest value. `curl` to several peers is `xargs -P N curl`, one process for
each peer. The times of curl, Node and `relay deploy` include their start; those of the senders in
Python (raw loop, httpx, and relay, which is the library) do not. The raw loop is
`SSLSocket.sendall`, in one thread for each peer.
"""
_JUDGE = """\
## Costs of the fake peers

All peers of a cluster are one process of Python; the sender is in another. What is read is counted
as it comes, with its framing.

| what | cost |
|---|---|"""
_COLUMNS = "| sender | MB/s | throughput to curl | CPU s per GB | CPU of the sink to sender's |"


def write_page(
    results: Mapping[str, Sequence[Run]], judge: Sequence[tuple[str, str]], directory: Path
) -> None:
    """Write the page and its plots into the directory."""
    rounds = len(results["senders"]) // len({(r.sender, r.peers) for r in results["senders"]})
    parts = [_INTRO.format(machine=_machine(), rounds=rounds), _duel(results["kill"])]
    by_peers = {n: [r for r in results["senders"] if r.peers == n] for n in _peers(results)}
    parts += [_table(n, runs) for n, runs in by_peers.items()]
    parts.append("![Throughput of each sender](benchmarks-throughput.svg)\n")
    parts.append(_costs(results))
    parts.append("\n".join([_JUDGE, *(f"| {what} | {cost} |" for what, cost in judge), ""]))
    (directory / "benchmarks.md").write_text("\n".join(parts))
    senders = {run.sender: run for run in results["senders"]}
    throughput = {
        name: [
            (n, statistics.median(_rate(r) for r in runs if r.sender == name))
            for n, runs in by_peers.items()
        ]
        for name in senders
    }
    _plot(directory / "benchmarks-throughput.svg", "peers", "MB/s", throughput)
    peers = {"seconds, 64 KiB to each": [(r.peers, r.seconds) for r in results["peers"]]}
    peers["CPU seconds"] = [(r.peers, r.cpu) for r in results["peers"]]
    _plot(directory / "benchmarks-peers.svg", "peers", "seconds", peers)
    sizes = {
        "seconds, to one peer": [(r.payload_bytes / _MIB, r.seconds) for r in results["sizes"]]
    }
    sizes["CPU seconds"] = [(r.payload_bytes / _MIB, r.cpu) for r in results["sizes"]]
    _plot(directory / "benchmarks-sizes.svg", "MiB", "seconds", sizes)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    python, system = platform.python_version(), f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {system}, Python {python}, {ssl.OPENSSL_VERSION}"


def _peers(results: Mapping[str, Sequence[Run]]) -> list[int]:
    return sorted({run.peers for run in results["senders"]})


def _rate(run: Run) -> float:
    """MB/s, all peers together."""
    return run.payload_bytes * run.peers / 1e6 / run.seconds


def _of(runs: Sequence[Run], sender: str) -> list[Run]:
    return [run for run in runs if run.sender == sender]


def _spread(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):.2f} ({min(figures):.2f} to {max(figures):.2f})"


def _duel(runs: Sequence[Run]) -> str:
    """The command beside curl, in wall time with both starts."""
    ours, theirs = _of(runs, "`relay deploy`"), _of(runs, "curl")
    ratios = [a.seconds / b.seconds for a, b in zip(ours, theirs, strict=True)]
    won = sum(ratio < 1 for ratio in ratios)
    first = ours[0]
    return (
        f"## The command beside curl\n\n`relay deploy` to {first.peers} nodes, "
        f"{first.payload_bytes // _MIB} MiB each, beside `xargs -P {first.peers} curl`, wall "
        f"time with the start of both:\n**it was faster in {won} of {len(ratios)} paired rounds.** "
        f"It took {_spread(ratios)} times as long as curl.\n"
    )


def _table(peers: int, runs: Sequence[Run]) -> str:
    size = runs[0].payload_bytes // _MIB
    rows = [f"## {peers} {'peer' if peers == 1 else 'peers'}, {size} MiB each\n", _COLUMNS]
    rows.append("|---|---|---|---|---|")
    dear = []
    for sender in dict.fromkeys(run.sender for run in runs):
        own = _of(runs, sender)
        ratios = [b.seconds / a.seconds for a, b in zip(own, _of(runs, "curl") or own, strict=True)]
        cpu = statistics.median(r.cpu / (r.payload_bytes * peers / 1e9) for r in own)
        share = sum(r.sink_cpu for r in own) / sum(r.cpu for r in own)
        dear += [sender] if share > _CHEAP else []
        rate = statistics.median(map(_rate, own))
        rows.append(f"| {sender} | {rate:,.0f} | {_spread(ratios)} | {cpu:.2f} | {share:.0%} |")
    if dear:
        rows.append(f"\nThe sink took more than a tenth of the CPU of: {', '.join(dear)}.")
    return "\n".join(rows) + "\n"


def _costs(results: Mapping[str, Sequence[Run]]) -> str:
    rows = [
        "## Costs of the relay as a library\n",
        "One run each; the memory is the peak of the largest process.\n",
        "| peers | payload | seconds | CPU seconds | MiB |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {r.peers:,} | {_size(r.payload_bytes)} | {r.seconds:.2f} | {r.cpu:.2f} "
        f"| {r.peak_mib:.0f} |"
        for r in (*results["peers"], *results["sizes"])
    ]
    peers = _exponent([(r.peers, r.cpu) for r in results["peers"]])
    sizes = _exponent([(r.payload_bytes, r.cpu) for r in results["sizes"]])
    rows.append(
        "\nFrom the last but one to the last row of each, CPU grows with the number of peers "
        f"to the power of {peers:.2f},\nand with the size of the payload to that of {sizes:.2f}."
        "\n\n"
        "![Cost of peers](benchmarks-peers.svg)\n![Cost of bytes](benchmarks-sizes.svg)\n"
    )
    return "\n".join(rows)


def _size(count: int) -> str:
    return f"{count // _MIB:,} MiB" if count >= _MIB else f"{count // 1024} KiB"


def _exponent(line: Line) -> float:
    (x, y), (x_next, y_next) = line[-2:]
    return math.log(y_next / y) / math.log(x_next / x)


def _plot(file: Path, across: str, up: str, lines: Mapping[str, Line]) -> None:
    """A plot with logarithmic axes, as SVG."""
    points = [point for line in lines.values() for point in line]
    x_at = _axis([x for x, _ in points], 60, 560)
    y_at = _axis([y for _, y in points], 360, 30)
    svg = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="410" font-family="sans-serif"',
        ' font-size="12"><rect width="760" height="410" fill="white"/>',
        f'<text x="300" y="402">{across}</text><text x="10" y="18">{up}</text>',
        '<path d="M60 30V360H560" fill="none" stroke="black"/>',
    ]
    svg += [
        f'<text x="{x_at(x):.0f}" y="376" text-anchor="middle">{x:,.4g}</text>'
        for x in sorted({x for x, _ in points})
    ]
    for y in _decades([y for _, y in points]):
        svg.append(f'<path d="M60 {y_at(y):.0f}H560" stroke="#dddddd"/>')
        svg.append(f'<text x="55" y="{y_at(y) + 4:.0f}" text-anchor="end">{y:,g}</text>')
    for number, (name, line) in enumerate(lines.items()):
        color, y = _COLORS[number % len(_COLORS)], 40 + 20 * number
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line)
        svg.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        svg.append(f'<text x="580" y="{y}" fill="{color}">{name.strip("`")}</text>')
    file.write_text("\n".join([*svg, "</svg>\n"]))


def _axis(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: start + (end - start) * (math.log(value) - low) / (high - low)


def _decades(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of each power of ten in between."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    wide = high - low > 2
    steps = [digit * 10.0**power for power in range(low, high + 1) for digit in (1, 2, 5)]
    return [s for s in steps if min(values) <= s <= max(values) and (not wide or _is_power(s))]


def _is_power(value: float) -> bool:
    return math.isclose(math.log10(value), round(math.log10(value)))
