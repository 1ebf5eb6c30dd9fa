"""The page: a matrix of requirements and runs, and a section for each failure. Pure."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import jinja2

from deploy_relay_kit.harness.judge.catalogue import LEVELS, requirements
from deploy_relay_kit.harness.judge.causes import STRICTER, Cause, causes, summary
from deploy_relay_kit.harness.judge.model import Result, Verdict
from deploy_relay_kit.harness.judge.report.text import alone
from deploy_relay_kit.harness.witness.moments import Part
from deploy_relay_kit.harness.witness.printable import printable
from deploy_relay_kit.harness.witness.timeline import ConnectionTimeline

_ROW = 26  # height of a connection in the drawing, px
_LEFT, _WIDTH = 120, 840  # where the time axis begins, and how wide the drawing is, px
_MARKS = dict(zip(Verdict, "-✓≈!?✗⚠", strict=True))  # of a cell, beside its colour


def render(results: Sequence[Result]) -> str:
    """One HTML document without links to other files or to the network.

    Args:
        results: of one or more runs, one column each, in this order.

    """
    runs: list[dict[str, Any]] = [
        {
            "result": result,
            "letter": _letter(number),
            "summary": summary(result),
            "verdicts": result.verdicts,
            "stricter": result.stricter,
            "causes": [_cause(cause, result) for cause in causes(result, known=True)],
        }
        for number, result in enumerate(results)
    ]
    judged = [id_ for id_ in requirements() if any(id_ in run["verdicts"] for run in runs)]
    groups = [
        (family, [(id_, requirements()[id_], [_cell(id_, run) for run in runs]) for id_ in members])
        for family, members in groupby(judged, lambda id_: id_.partition("-")[0])
    ]
    return _template().render(
        groups=groups,
        runs=runs,
        marks=_MARKS,
        verdicts=list(Verdict),
        levels=LEVELS,
        requirements=requirements(),
        legend={part.name.lower(): part.value for part in Part},
    )


def _letter(number: int) -> str:
    """What a column is called: A to Z, then A1 and so on."""
    return f"{ascii_uppercase[number % 26]}{number // 26 or ''}"


def _cell(id_: str, run: dict[str, Any]) -> dict[str, Any]:
    """What one run says of one requirement, and the first cause of it."""
    causes_of_it = (n for n, it in enumerate(run["causes"], 1) if id_ in it["cause"].requirements)
    verdict = run["verdicts"].get(id_)
    words = f"{verdict}{STRICTER if id_ in run['stricter'] else ''}"
    return {"verdict": verdict, "words": words, "cause": next(causes_of_it, None)}


def _cause(cause: Cause, result: Result) -> dict[str, Any]:
    evidence = cause.case.evidence
    return {
        "cause": cause,
        "alone": alone(cause.case, result.relay),
        "levels": [requirements()[id_].level for id_ in cause.requirements],
        "drawing": _drawing(evidence.timelines) if evidence else None,
    }


def _drawing(seen: Sequence[ConnectionTimeline]) -> dict[str, Any]:
    """Where each moment is drawn: a row per connection, time from left to right, linear."""
    times = [moment["ms"] for it in seen for moment in it["moments"]]
    end = max(times, default=0.0) or 1.0
    span = _WIDTH - _LEFT - 40

    def place(ms: float) -> float:
        return round(_LEFT + ms / end * span, 1)

    return {
        "width": _WIDTH,
        "height": _ROW * len(seen) + 30,
        "rows": [
            {
                "y": _ROW * number + 20,
                "node": it["node"],
                "dots": [{"x": place(moment["ms"]), **moment} for moment in it["moments"]],
            }
            for number, it in enumerate(seen)
        ],
        "ticks": [{"x": place(end * part / 4), "ms": end * part / 4} for part in range(5)],
    }


@cache
def _template() -> jinja2.Template:
    # Everything that a relay or a peer said is escaped, for HTML and for a terminal that shows the
    # file; undefined names are errors.
    environment = jinja2.Environment(
        autoescape=True,
        finalize=lambda it: printable(it) if type(it) is str else it,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    source = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return environment.from_string(source)
