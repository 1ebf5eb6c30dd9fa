"""Targets: the relay under test, as a command, as a Python function, or the reference.

They import `harness.errors` and each other; only `reference.py` imports `relay/`. Begin
with `deploy_command.py` and `outcome.py`, what a target gets and returns.
"""

import shlex
from collections.abc import Collection
from pathlib import Path
from shutil import which
from typing import Protocol

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.targets.deploy_command import (
    DeployCommand,
    DeployNode,
    GivenToken,
    Limits,
    LocalSettings,
    OperationsMint,
    ReplicationMint,
)
from deploy_relay_kit.harness.targets.outcome import (
    DEADLINE,
    Outcome,
    Record,
    TargetBrokeError,
    TargetSkippedError,
)

__all__ = [
    "RELAY_VARIABLE",
    "DeployCommand",
    "DeployNode",
    "GivenToken",
    "Limits",
    "LocalSettings",
    "OperationsMint",
    "Outcome",
    "Record",
    "ReplicationMint",
    "Target",
    "TargetBrokeError",
    "TargetSkippedError",
    "open_target",
]

RELAY_VARIABLE = "RELAY_HARNESS_RELAY"
"""Names the relay to judge where no option does."""


class Target(Protocol):
    """A relay that takes deploy commands."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str:
        """Which relay it says it is, with its version; may raise as `capabilities` does."""

    @property
    def capabilities(self) -> Collection[str]:
        """What of the optional it can do; may raise TargetBrokeError when it must be started."""

    @property
    def pid(self) -> int:
        """The process in which the relay runs."""

    @property
    def output(self) -> str:
        """What it wrote to its own stdout and stderr during the last deploy; "" in-process."""

    @property
    def stderr(self) -> str:
        """Of that, what went to stderr, for a person to read."""

    def deploy(self, command: DeployCommand, deadline: float = DEADLINE) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the target is at fault in a way that is no outcome.
            TargetSkippedError: the target would not do it.

        """

    def close(self) -> None:
        """Release what the target holds; called once, after the last case."""


def open_target(spec: str, ca_file: Path | None = None) -> Target:
    """The target that `--relay` names: `reference`, `cmd:…`, `python:…`, `origin:…`.

    Args:
        spec: names the target.
        ca_file: what the deploys to come trust; an adapter learns it when it starts.

    Raises:
        InputError: the spec names none.

    """
    kind, _, rest = spec.partition(":")
    if spec == "reference":
        from deploy_relay_kit.harness.targets.reference import ReferenceTarget  # noqa: PLC0415 - only when judged

        return ReferenceTarget()
    if kind == "cmd" and rest.strip():
        from deploy_relay_kit.harness.targets.command import CommandTarget  # noqa: PLC0415 - only when judged

        try:
            return CommandTarget(shlex.split(rest), ca_file)
        except ValueError as error:
            raise InputError(f"--relay {spec!r}: {error}") from error
    if kind == "python" and rest.count(":") == 1:
        from deploy_relay_kit.harness.targets.function import FunctionTarget  # noqa: PLC0415 - only when judged

        return FunctionTarget(rest)
    if kind == "origin" and rest.strip():
        from deploy_relay_kit.harness.targets.origin.target import OriginTarget  # noqa: PLC0415 - only when judged

        try:
            return OriginTarget(shlex.split(rest))
        except ValueError as error:
            raise InputError(f"--relay {spec!r}: {error}") from error
    if (command := spec.split()) and which(command[0]):
        raise InputError(f"--relay {spec!r}: a command is written as {'cmd:' + spec!r}")
    raise InputError(
        f"--relay {spec!r}: no such target; use `reference`, `cmd:COMMAND`, "
        "`python:package.module:function` or `origin:COMMAND`"
    )
