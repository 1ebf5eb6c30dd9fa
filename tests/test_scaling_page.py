"""The simulation behind docs/scaling.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.tree import PEERS, SIZES, UPLINKS, Cluster, best_fanout, pays_from, simulate

PAGE = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
CLUSTER = Cluster(uplink=100.0, setup=1.0, deploy=2.0)


@pytest.mark.parametrize(
    ("peers", "fanout", "seconds"),
    [
        (1, 1, 1 + 10 + 2),
        (8, 8, 1 + 80 + 2),
        (6, 2, 2 * (1 + 20 + 2)),  # two whole levels
        (3, 2, (1 + 20 + 2) + (1 + 10 + 2)),  # the last level is one node
        (12, 3, 2 * (1 + 30 + 2)),
    ],
)
def test_the_time_of_a_tree_of_equal_nodes(peers: int, fanout: int, seconds: float) -> None:
    assert simulate(CLUSTER, 1_000, peers, fanout) == pytest.approx(seconds)


def test_a_seed_gives_the_same_time_again() -> None:
    uneven = Cluster(uplink=100.0, spread=0.5)
    first, again, other = (simulate(uneven, 1_000, 50, 4, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_tree_pays_from_the_first_number_of_peers_after_which_it_never_loses() -> None:
    pays = pays_from(CLUSTER, 1_000, 2, most=100)
    assert pays is not None
    times = [
        (simulate(CLUSTER, 1_000, n, 2), simulate(CLUSTER, 1_000, n, n)) for n in range(3, 101)
    ]
    assert all(tree < flat for tree, flat in times[pays - 3 :])
    assert times[pays - 4][0] >= times[pays - 4][1]
    assert pays_from(CLUSTER, 1, 2, most=100) is None


def test_the_best_fan_out_of_little_is_one_level() -> None:
    assert best_fanout(CLUSTER, 1, 8)[0] == 8


def test_the_page_has_the_seconds_of_one_level() -> None:
    for name, size in SIZES.items():
        cells = (
            " / ".join(f"{n * size / uplink:,.0f}" for n in PEERS) for uplink in UPLINKS.values()
        )
        assert f"| {name} | {' | '.join(cells)} |" in PAGE
