"""Fixtures of the cases of origins."""

from __future__ import annotations

import pytest

from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.judge.forms.origin import Origin


@pytest.fixture
def origin(relay: Relay) -> Origin:
    """The origin under test, which takes any form."""
    return Origin(relay)
