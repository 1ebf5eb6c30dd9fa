"""The matrix of confusion: which requirements each mutant turns red, over the conformance cases.

    python -m tests.mutants.confusion --reds DIRECTORY [--share 1] [-n 2] [--again] [--mutant NAME]

runs the cases (one row of each, or of a share that a hash chooses for each mutant, and the rows of
the cases that the mutant names) against every mutant, keeps what was done in DIRECTORY, and writes
`tests/mutants/confusion.json` and `docs/confusion.md`; the other rows stay. It takes from ten
minutes to hours. With `--again` a mutant meets only the cases that it names or that were red in its
last row: that shows in minutes what a change of a case has mended.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy_relay_kit.harness.judge.catalogue import requirements
from tests.mutants.catalogue import BY_PLACE

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "confusion.json"
PAGE = ROOT / "docs" / "confusion.md"

HEALTHY = "healthy deploy"
"""In the row of a mutant that cannot even deploy to a healthy node, where a whole run ends."""

Matrix = Mapping[str, Mapping[str, list[str]]]
"""For each mutant, by its place: the requirements that it turns red, with the red cases."""


def matrix() -> Matrix:
    """The matrix of the last full run."""
    read: Matrix = json.loads(DATA.read_text())
    return read


def surplus(reds: Matrix) -> Iterator[tuple[str, str]]:
    """The mutants and requirements beyond what the mutant says that it breaks."""
    for place, row in reds.items():
        if (mutant := BY_PLACE.get(place)) is not None:
            said = {*mutant.requirements, *mutant.also, HEALTHY}
            yield from ((place, id_) for id_ in row if id_ not in said)


def mean(reds: Matrix) -> float:
    """The mean number of red requirements of the mutants with a single defect."""
    counts = [len({*row} - {HEALTHY}) for place, row in reds.items() if _has_one_defect(place)]
    return sum(counts) / len(counts)


def share_of_one(reds: Matrix) -> float:
    """The share of the mutants with a single defect that turn at most one requirement red."""
    counts = [len(row) for place, row in reds.items() if _has_one_defect(place)]
    return sum(count <= 1 for count in counts) / len(counts)


def _has_one_defect(place: str) -> bool:
    return place in BY_PLACE and len(BY_PLACE[place].requirements) == 1


def page(reds: Matrix) -> str:
    """The matrix as the page `docs/confusion.md`."""
    by_requirement = Counter(id_ for row in reds.values() for id_ in row if id_ != HEALTHY)
    alone: dict[str, list[str]] = defaultdict(list)
    for place, row in reds.items():
        if len(cases := {case for red in row.values() for case in red}) == 1:
            alone[cases.pop()].append(place.partition(".")[2])
    worst = max(reds, key=lambda place: (len(reds[place]), place))
    lines = [
        "# What each bug turns red",
        "",
        "A mutant is the reference relay with one bug. This page says which requirements the cases",
        "charge for each mutant. `python -m tests.mutants.confusion` writes it. A mutant meets the",
        "sets of parameters that it names, and one set, which a hash chooses, of each other case.",
        "The first 316 mutants met every case. A later mutant met the cases that it names and one",
        "in twelve of the others (`--share 12`), or fewer, so its row may lack some. The cases of",
        "memory and patience met only the mutants that name them. A mutant that cannot deploy to a",
        f"healthy node has `{HEALTHY}` in its row: a whole run ends there.",
        "",
        "After a change of a case, `--again` runs the cases that a mutant names or that were red,",
        "at most eight of a requirement, and replaces its row: what turns red anew shows in the",
        "next full run. An exception of a mutant itself is charged to nothing.",
        "",
        "| figure | |",
        "|---|---|",
        f"| mutants that were run | {len(reds)} |",
        f"| red requirements of a mutant with one defect, on average | {mean(reds):.2f} |",
        "| the aim of this average | 1.3 |",
        f"| mutants with one defect and at most one red requirement | {share_of_one(reds):.0%} |",
        f"| most red requirements | {len(reds[worst])} (`{worst}`) |",
        f"| red requirements that a mutant does not name | {len(list(surplus(reds)))} |",
        "",
        "## Mutants",
        "",
        "A requirement in italics is one that the bug breaks, too, for the reason in its file; one",
        "in bold is charged although the mutant does not name it.",
        "",
        "| mutant | red |",
        "|---|---|",
        *(f"| `{place}` | {_shown(place, row)} |" for place, row in sorted(reds.items())),
        "",
        "## Requirements",
        "",
        "| requirement | mutants that turn it red |",
        "|---|---|",
        *(f"| {id_} | {count} |" for id_, count in sorted(by_requirement.items())),
        "",
        "## Cases",
        "",
        "The mutants that one case alone caught, among the cases that they met:",
        "",
        "| case | mutants |",
        "|---|---|",
        *(f"| `{case}` | {', '.join(sorted(names))} |" for case, names in sorted(alone.items())),
    ]
    return "\n".join(lines) + "\n"


def _shown(place: str, row: Mapping[str, list[str]]) -> str:
    mutant = BY_PLACE.get(place)
    also, said = (mutant.also, (*mutant.requirements, HEALTHY)) if mutant else ({}, ())
    marks = {id_: "*" if id_ in also else "" if id_ in said else "**" for id_ in row}
    return ", ".join(f"{mark}{id_}{mark}" for id_, mark in sorted(marks.items())) or "none"


def collect(directory: Path) -> Matrix:
    """The matrix in the files that the workers wrote."""
    reds: dict[str, dict[str, list[str]]] = {}
    for file in sorted(directory.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            read = json.loads(line)
            row: dict[str, set[str]] = defaultdict(set)
            for case, ids in read["reds"].items():
                for id_ in ids:
                    if id_ not in requirements():
                        continue  # an exception of the mutant itself
                    row[id_].add(case.partition("[")[0])
            if read["mutant"] not in BY_PLACE:
                continue
            if read.get("blocked"):
                row[HEALTHY] = set()
            reds[read["mutant"]] = {id_: sorted(cases) for id_, cases in sorted(row.items())}
    return dict(sorted(reds.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reds", type=Path, required=True, help="where the workers write")
    parser.add_argument("--share", default="1", help="run one of so many other cases (default: 1)")
    parser.add_argument("--again", action="store_true", help="only the cases that were red before")
    parser.add_argument("--mutant", action="append", default=[], help="run this one alone")
    parser.add_argument("-n", type=int, default=2, help="worker processes; 0: only write the page")
    options = parser.parse_args()
    options.reds.mkdir(exist_ok=True)
    plugin = ("-p", "no:cacheprovider", "-p", "tests.mutants.confused", "tests/conformance")
    workers = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-q", *plugin, "--share", options.share),
                *("--part", str(part), "--parts", str(options.n)),
                *("--reds", str(options.reds / f"{part}.jsonl")),
                *(["--again"] if options.again else []),
                *(f"--mutant={name}" for name in options.mutant),
            ],
            cwd=ROOT,
        )
        for part in range(options.n)
    ]
    for worker in workers:
        worker.wait()
    rows = {**matrix(), **collect(options.reds)}
    reds = {place: row for place, row in sorted(rows.items()) if place in BY_PLACE}
    DATA.write_text(json.dumps(reds, indent=1) + "\n")
    PAGE.write_text(page(reds))


if __name__ == "__main__":
    main()
