"""The fixtures that cases ask for, with the reference, or what a mutant made of it, as target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.targets.reference import ReferenceTarget
from tests.conformance.conftest import (
    client_certificate,
    cluster,
    large,
    payload,
    relay,
    staged,
)

if TYPE_CHECKING:
    from harness.targets import Target

__all__ = [
    "client_certificate",
    "cluster",
    "large",
    "payload",
    "relay",
    "staged",
]


@pytest.fixture
def target() -> Target:
    return ReferenceTarget()
