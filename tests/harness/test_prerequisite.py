"""The deploy to a healthy peer that comes before the cases: what a user reads when it fails."""

from __future__ import annotations

import sys
from contextlib import closing

from deploy_relay_kit.harness.judge.prerequisite import try_healthy_deploy
from deploy_relay_kit.harness.targets.command import CommandTarget
from tests.harness.test_lint import HOSTILE


def test_the_words_of_a_crash_name_the_command_that_shows_the_standard_error() -> None:
    with closing(
        CommandTarget([sys.executable, "-S", "-I", str(HOSTILE), "dies at deploy"])
    ) as target:
        blocked = try_healthy_deploy(target).blocked_by
    assert blocked == (
        "the relay opened no connection to a healthy peer; it reported: the adapter was asked to "
        "deploy and exited (exit code 4) without an answer; relay-harness lint shows its standard "
        "error"
    )
