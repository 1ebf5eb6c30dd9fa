"""What several tests of the harness build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme  # noqa: F401  pytester forgets what a run imports, and cryptography bears one import

from harness.judge.evidence import Evidence
from harness.judge.verdicts import Verdicts


def evidence(**members: Any) -> Evidence:
    """Evidence in which all that is not given is empty."""
    texts = dict.fromkeys(("where", "expected", "came", "wrote", "seen", "trace"), "")
    lists: dict[str, list[Any]] = {"told": [], "reported": [], "findings": [], "timelines": []}
    return Evidence(**{**texts, **lists, "broke": False, **members})  # type: ignore[typeddict-item]  # spread


def judged_in_here(cases: Path, *options: str) -> Verdicts:
    """What becomes of cases that are run by another pytest in this very process."""
    verdicts = Verdicts()
    quiet = [f"-pno:{plugin}" for plugin in ("terminal", "cacheprovider", "unraisableexception")]
    pytest.main(
        [str(cases), *quiet, "-pharness.judge.plugin", "--import-mode=importlib", *options],
        plugins=[verdicts],
    )
    return verdicts
