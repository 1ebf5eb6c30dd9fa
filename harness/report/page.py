"""The page: a matrix of requirements and runs, and a section for each failure. Pure."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import jinja2

from harness.catalogue import requirements
from harness.report.text import alone, summary
from harness.verdicts import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.results import Result
    from harness.verdicts import Case
    from harness.witness import Lane

_LANE = 26  # height of a connection's lane in the drawing, px
_LEFT, _WIDTH = 120, 840  # where the time axis begins, and how wide the drawing is, px
_MARKS = dict(zip(OUTCOMES, "-✓≈!?✗⚠", strict=True))  # of a cell, beside its colour


def render(results: Sequence[Result]) -> str:
    """One HTML document that needs nothing else: no network, no other file.

    Args:
        results: of one or more runs, one column each, in this order.

    """
    runs: list[dict[str, Any]] = [
        {
            "result": result,
            "letter": _letter(number),
            "summary": summary(result),
            "outcomes": result.outcomes,
            "failures": [_failure(case, result) for case in result.cases if case.has_failed],
        }
        for number, result in enumerate(results)
    ]
    asked = [it for it in requirements().values() if any(it.id in run["outcomes"] for run in runs)]
    groups = [
        (family, [(it, [_cell(it.id, run) for run in runs]) for it in members])
        for family, members in groupby(asked, lambda it: it.id.partition("-")[0])
    ]
    return _template().render(
        groups=groups,
        runs=runs,
        marks=_MARKS,
        outcomes=OUTCOMES,
        requirements=requirements(),
        legend=_LEGEND,
    )


def _letter(number: int) -> str:
    """What a column is called: A to Z, then A1 and so on."""
    return f"{ascii_uppercase[number % 26]}{number // 26 or ''}"


def _cell(id_: str, run: dict[str, Any]) -> dict[str, Any]:
    """What one run says of one requirement, and which of its failures tells most of it."""
    outcome = run["outcomes"].get(id_)
    telling = (
        number
        for number, failure in enumerate(run["failures"], 1)
        if id_ in failure["case"].requirements and failure["case"].outcome == outcome
    )
    return {"outcome": outcome, "failure": next(telling, None)}


def _failure(case: Case, result: Result) -> dict[str, Any]:
    return {
        "case": case,
        "alone": alone(case, result.relay),
        "levels": [requirements()[id_].level for id_ in case.requirements],
        "drawing": _drawing(case.evidence["lanes"]) if case.evidence else None,
    }


def _drawing(seen: Sequence[Lane]) -> dict[str, Any]:
    """Where each moment stands: lanes below each other, time from left to right, linear."""
    times = [moment["ms"] for lane in seen for moment in lane["moments"]]
    end = max(times, default=0.0) or 1.0
    span = _WIDTH - _LEFT - 40

    def place(ms: float) -> float:
        return round(_LEFT + ms / end * span, 1)

    return {
        "width": _WIDTH,
        "height": _LANE * len(seen) + 30,
        "lanes": [
            {
                "y": _LANE * number + 20,
                "node": lane["node"],
                "dots": [
                    {"x": place(it["ms"]), "kind": _kind(it["what"]), **it}
                    for it in lane["moments"]
                ],
            }
            for number, lane in enumerate(seen)
        ],
        "ticks": [{"x": place(end * part / 4), "ms": end * part / 4} for part in range(5)],
    }


_KINDS = {
    "accepted": "connection",
    "TLS": "connection",
    "request head": "request",
    "first bytes": "request",
    "the file part": "request",
    "end of the body": "request",
    "answer": "answer",
    "closed": "end",
}
"""What a moment is of, by how its words begin; all else is something out of the ordinary."""


_LEGEND = {
    "connection": "connection and handshake",
    "request": "what the relay sends",
    "answer": "what the peer answers",
    "end": "the end, and whose it is",
    "odd": "anything else",
}


def _kind(what: str) -> str:
    return next((kind for begin, kind in _KINDS.items() if what.startswith(begin)), "odd")


@cache
def _template() -> jinja2.Template:
    # Everything that a relay or a peer said is escaped; undefined names are errors.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return environment.from_string(source)
