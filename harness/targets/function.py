"""A relay that is a Python function: `python:package.module:function`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, cast

from harness.targets import messages
from harness.targets.messages import MessageError
from harness.targets.outcome import TargetBrokeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.targets.deploy import DeployCommand
    from harness.targets.outcome import Outcome

DEFAULT_CAPABILITIES = ("mint.operations",)


class UnusableFunctionError(ValueError):
    """There is no such function, or its module cannot be imported."""


class FunctionTarget:
    """Calls the function with a deploy message, as an adapter would read it, in this process.

    The function may be a coroutine function. It returns the list of records, or a reply of the
    adapter protocol without its `seq`, such as `{"refused": "…"}`. What the relay can do beyond
    minting over the operations API stands in `CAPABILITIES` beside it.
    """

    def __init__(self, where: str) -> None:
        """Import the function.

        Args:
            where: `package.module:function`, found as Python would in the current directory.

        Raises:
            UnusableFunctionError: it cannot be found.

        """
        self.name = f"python:{where}"
        module_name, _, name = where.partition(":")
        if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds text
            sys.path.insert(0, os.getcwd())  # noqa: PTH109
        try:
            module = importlib.import_module(module_name)
            self._function = cast("Callable[[messages.Message], Any]", getattr(module, name))
        except (ImportError, AttributeError, ValueError) as error:
            raise UnusableFunctionError(f"{self.name}: {error}") from error
        self.capabilities = frozenset(getattr(module, "CAPABILITIES", DEFAULT_CAPABILITIES))
        self.pid = os.getpid()
        self.output = self.stderr = ""

    def deploy(self, command: DeployCommand) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the function raised, or returned something else than a reply.
            TargetSkippedError: the function would not do it.

        """
        message = messages.deploy(1, command)
        try:
            result = self._function(message)
            if inspect.isawaitable(result):
                result = asyncio.run(asyncio.wait_for(_await(result), command.deadline))
        except Exception as error:
            text = traceback.format_exc()
            raise TargetBrokeError(f"the target reported an error of its own\n{text}") from error
        reply = dict(result) if isinstance(result, dict) else {"records": result}
        try:
            messages.check("deployed", {"seq": 1, **reply})
        except MessageError as error:
            raise TargetBrokeError(f"the function returned something wrong: {error}") from error
        return messages.outcome_of(reply)

    def close(self) -> None:
        """Nothing is held between deploys."""


async def _await(awaitable: Any) -> Any:
    return await awaitable
