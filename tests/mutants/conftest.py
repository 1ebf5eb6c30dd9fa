"""The fixtures of the cases, with the reference or a mutant of it as target."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness.targets import Target
from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from tests.conformance.conftest import (
    client_certificate,
    cluster,
    large,
    payload,
    records_of,
    relay,
    staged,
)

__all__ = ["client_certificate", "cluster", "large", "payload", "records_of", "relay", "staged"]


@pytest.fixture
def target() -> Target:
    return ReferenceTarget()


@pytest.fixture
def blocked_by() -> str:
    """A mutant is judged without the control of a whole run."""
    return ""
