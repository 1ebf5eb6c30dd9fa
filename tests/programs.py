"""Programs that take part in a test where they are installed; the kit itself needs only Python."""

from __future__ import annotations

import shutil

import pytest


def skip_without(*programs: str) -> None:
    """Skip the test that asks when one of these programs is not on the path."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")
