"""Programs in tests: which are there, and waiting for what they do."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from deploy_relay_kit.harness.fronts.daemon import RealProgram

LONG = "RELAY_KIT_LONG_TESTS" in os.environ
"""Whether the tests that take minutes run, or run whole; by default they run in part."""

PROXY_PASSWORD = "s3cret-of-the-proxy"
_LOOK = 0.01  # seconds from one look to the next


def skip_without(*programs: str) -> None:
    """Skip the test that asks when one of these programs is not on the path."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on this machine")


Program = TypeVar("Program", bound=RealProgram)


def installed(kind: type[Program]) -> type[Program]:
    """The same class; skip the test that asks if its program is not installed."""
    if not kind.is_available():
        pytest.skip(f"{kind.program} is not on this machine (CI installs it)")
    return kind


def wait_until(happened: Callable[[], object], seconds: float) -> None:
    """Wait for what another process does; an AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(_LOOK)
