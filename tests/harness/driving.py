"""What several tests of the harness build."""

from __future__ import annotations

from typing import Any

from harness.evidence import Evidence


def evidence(**members: Any) -> Evidence:
    """Evidence in which all that is not given is empty."""
    texts = dict.fromkeys(("where", "expected", "came", "stderr", "seen", "trace"), "")
    return Evidence(**{**texts, "reported": [], "findings": [], "lanes": [], **members})  # type: ignore[typeddict-item]  # spread
