"""The page: a matrix of requirements and runs, and a section for each failure. Pure."""

from collections.abc import Sequence
from itertools import groupby
from string import ascii_uppercase
from typing import Any

from deploy_relay_kit.harness.judge.catalogue import LEVELS, every_requirement
from deploy_relay_kit.harness.judge.causes import STRICTER, Cause, causes, summary
from deploy_relay_kit.harness.judge.model import Result, Verdict
from deploy_relay_kit.harness.judge.report import drawing
from deploy_relay_kit.harness.judge.report.text import alone

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
    judged = [id_ for id_ in every_requirement() if any(id_ in run["verdicts"] for run in runs)]
    groups = [
        (
            family,
            [(id_, every_requirement()[id_], [_cell(id_, run) for run in runs]) for id_ in members],
        )
        for family, members in groupby(judged, lambda id_: id_.partition("-")[0])
    ]
    return drawing.template("page.html").render(
        groups=groups,
        runs=runs,
        marks=_MARKS,
        verdicts=list(Verdict),
        levels=LEVELS,
        requirements=every_requirement(),
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
        "levels": [every_requirement()[id_].level for id_ in cause.requirements],
        "drawing": drawing.render(evidence.timelines) if evidence else "",
    }
