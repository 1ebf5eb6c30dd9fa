"""What is made of the results of runs: text, JUnit, a page, a badge. All from the same document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report import badge, junit, page
from harness.results import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.results import Result


def write(results: Sequence[Result], directory: Path) -> list[Path]:
    """Write the reports of these runs, the newest last, and return where they are.

    `index.html` compares all of them; `result.json`, `junit.xml` and `badge.svg` are of the last.

    Args:
        results: at least one.
        directory: made if it is missing; files of these names are written anew.

    Raises:
        OSError: it cannot be written to.

    """
    directory.mkdir(parents=True, exist_ok=True)
    last = results[-1]
    contents = {
        "result.json": to_json(last),
        "junit.xml": junit.render(last),
        "index.html": page.render(results),
        "badge.svg": badge.render(last),
    }
    for name, text in contents.items():
        (directory / name).write_text(text, encoding="utf-8")
    return [directory / name for name in contents]
