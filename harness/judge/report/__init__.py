"""What is made of the result of a run: text, JSON, JUnit, a page, a badge.

It imports `judge/model.py` and what that imports. Begin with `text.py`, what a terminal shows.
"""

from collections.abc import Sequence
from pathlib import Path

from deploy_relay_kit.harness.judge.model import Result


def write(results: Sequence[Result], directory: Path) -> list[Path]:
    """Write the reports of these runs and return where they are.

    `index.html` compares them; of a single run there are `result.json`, `junit.xml` and `badge.svg`
    besides.

    Args:
        results: at least one.
        directory: made if it is missing; files of these names are written anew.

    Raises:
        OSError: it cannot be written to.
    """
    # Most runs write no report; they need not wait for a template engine.
    from deploy_relay_kit.harness.judge.report import badge, junit, page, result  # noqa: PLC0415

    directory.mkdir(parents=True, exist_ok=True)
    contents = {"index.html": page.render(results)}
    if len(results) == 1:
        contents |= {
            "result.json": result.to_json(results[0]),
            "junit.xml": junit.render(results[0]),
            "badge.svg": badge.render(results[0]),
        }
    for name, text in contents.items():
        # A lone surrogate that a relay reported has no form in UTF-8.
        (directory / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    return [directory / name for name in contents]
