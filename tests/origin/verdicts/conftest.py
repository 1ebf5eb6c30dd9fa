"""The fixtures of the cases of origins, with the reference origin or a mutant of it as target."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import cluster, large, payload, relay, staged
from tests.conformance.origins.conftest import origin

__all__ = ["cluster", "large", "origin", "payload", "relay", "staged"]


@pytest.fixture
def blocked_by() -> str:
    """A mutant is judged without the control of a whole run."""
    return ""
