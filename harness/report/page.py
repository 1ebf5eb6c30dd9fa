"""The page: a matrix of requirements and runs, and a section for each failure. Pure."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from harness.catalogue import requirements
from harness.report.text import alone, summary
from harness.results import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.results import Result
    from harness.verdicts import Case

_LANE = 26  # height of a connection's lane in the drawing, px
_LEFT, _WIDTH = 120, 840  # where the time axis begins, and how wide the drawing is, px
_MARKS = {  # what a cell of the matrix shows beside its colour
    "not applicable": "-",
    "passed": "✓",
    "known flaky": "≈",
    "known failure": "!",
    "untestable": "?",
    "failed": "✗",
    "harness error": "⚠",
}


def render(results: Sequence[Result]) -> str:
    """One HTML document that needs nothing else: no network, no other file.

    Args:
        results: of one or more runs, one column each, in this order.

    """
    outcomes = [result.outcomes for result in results]
    asked = [it for it in requirements().values() if any(it.id in column for column in outcomes)]
    groups = [
        (family, [(it, [column.get(it.id) for column in outcomes]) for it in members])
        for family, members in groupby(asked, lambda it: it.id.partition("-")[0])
    ]
    runs = [
        {
            "result": result,
            "summary": summary(result),
            "failures": [_failure(case, result) for case in result.cases if case.has_failed],
        }
        for result in results
    ]
    return _template().render(
        groups=groups, runs=runs, marks=_MARKS, outcomes=OUTCOMES, requirements=requirements()
    )


def _failure(case: Case, result: Result) -> dict[str, Any]:
    return {
        "case": case,
        "name": case.id.rpartition("::")[2],
        "alone": alone(case, result.relay),
        "levels": [requirements()[id_].level for id_ in case.requirements],
        "drawing": _drawing(case),
    }


def _drawing(case: Case) -> dict[str, Any]:
    """Where each moment stands: lanes below each other, time from left to right, linear."""
    times = [moment["ms"] for lane in case.lanes for moment in lane["moments"]]
    end = max(times, default=0.0) or 1.0
    span = _WIDTH - _LEFT - 20

    def place(ms: float) -> float:
        return round(_LEFT + ms / end * span, 1)

    return {
        "width": _WIDTH,
        "height": _LANE * len(case.lanes) + 30,
        "lanes": [
            {
                "y": _LANE * number + 20,
                "node": lane["node"],
                "dots": [{"x": place(it["ms"]), **it} for it in lane["moments"]],
            }
            for number, lane in enumerate(case.lanes)
        ],
        "ticks": [{"x": place(end * part / 4), "ms": end * part / 4} for part in range(5)],
    }


@cache
def _template() -> jinja2.Template:
    # Everything that a relay or a peer said is escaped; undefined names are errors.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return environment.from_string(source)
