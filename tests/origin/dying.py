"""`relay serve` that kills itself at a point that a file names: `NAME before|after COUNT`.

The points are calls of its own functions, so that a node dies between two exact steps.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sys
import tarfile
from pathlib import Path
from typing import Any

from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.origin import deploy
from deploy_relay_kit.relay.origin.local import builds, commands
from deploy_relay_kit.relay.origin.record.journal import Journal
from deploy_relay_kit.relay.origin.wire import intake

POINTS: dict[str, tuple[Any, str]] = {
    "row": (Journal, "begin"),
    "stage": (builds.Builds, "stage"),
    "part": (intake._Reader, "_start"),
    "written": (intake._Reader, "_end"),
    "status": (Journal, "change"),
    "unpack": (builds.Builds, "prepare"),
    "entry": (tarfile.TarFile, "extract"),
    "command": (commands, "run"),
    "swap": (builds.Builds, "swap"),
    "link": (builds.Builds, "_link"),
    "rename": (Path, "replace"),
    "prune": (builds.Builds, "_prune"),
    "fan-out": (deploy, "deploy"),
    "answer": (deploy, "answer_of"),
}


def arm(order: Path) -> None:
    """Make every point look at the order."""
    for name, (owner, attribute) in POINTS.items():
        original = getattr(owner, attribute)
        setattr(owner, attribute, _mortal(original, name, order))


def _mortal(original: Any, name: str, order: Path) -> Any:
    calls = 0

    def die(when: str) -> None:
        nonlocal calls
        try:
            wanted, moment, count = order.read_text().split()
        except (OSError, ValueError):
            calls = 0
            return
        if wanted != name:
            return
        calls += when == "before"
        if (moment, int(count)) == (when, calls):
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    def call(*given: Any, **named: Any) -> Any:
        die("before")
        result = original(*given, **named)
        die("after")
        return result

    @functools.wraps(original)
    async def coroutine(*given: Any, **named: Any) -> Any:
        die("before")
        result = await original(*given, **named)
        die("after")
        return result

    return coroutine if inspect.iscoroutinefunction(original) else call


if __name__ == "__main__":
    arm(Path(sys.argv[-1]).with_name("die"))
    sys.exit(main(sys.argv[1:]))
