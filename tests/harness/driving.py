"""What several tests of the harness build."""

from __future__ import annotations

from typing import Any

from harness.evidence import Evidence


def evidence(**members: Any) -> Evidence:
    """Evidence in which all that is not given is empty."""
    texts = dict.fromkeys(("where", "expected", "came", "wrote", "seen", "trace"), "")
    lists: dict[str, list[Any]] = {"told": [], "reported": [], "findings": [], "lanes": []}
    return Evidence(**{**texts, **lists, "broke": False, **members})  # type: ignore[typeddict-item]  # spread
