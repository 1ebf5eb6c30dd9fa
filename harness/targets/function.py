"""A relay that is a Python function: `python:package.module:function`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, cast

from harness.targets import messages
from harness.targets.deploy_command import DeployCommand
from harness.targets.hang_budget import Patience
from harness.targets.messages import MessageError
from harness.targets.outcome import Outcome, TargetBrokeError, TargetHungError

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
        self.name = self.identity = f"python:{where}"
        module_name, _, name = where.partition(":")
        if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds text
            sys.path.insert(0, os.getcwd())  # noqa: PTH109
        try:
            module = importlib.import_module(module_name)
            self._function = cast("Callable[[messages.Message], Any]", getattr(module, name))
        except (Exception, SystemExit) as error:  # whatever its module does when it is imported
            known = isinstance(error, ImportError | AttributeError)
            what = f"{error}" if known else f"{type(error).__name__}: {error}"
            raise UnusableFunctionError(f"{self.name}: {what}") from error
        if not callable(self._function):
            raise UnusableFunctionError(f"{self.name}: {name} is no function")
        declared = getattr(module, "CAPABILITIES", DEFAULT_CAPABILITIES)
        if isinstance(declared, str):
            raise UnusableFunctionError(f"{self.name}: CAPABILITIES is a text; give a list")
        self.capabilities = frozenset(declared)
        try:
            messages.check_capabilities(self.capabilities)
        except MessageError as error:
            raise UnusableFunctionError(f"{self.name}: {error}") from error
        self.pid = os.getpid()
        self.output = self.stderr = ""
        self._patience = Patience()

    def deploy(self, command: DeployCommand) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the function raised, or returned something else than a reply.
            TargetSkippedError: the function would not do it, or never returns.

        """
        with self._patience.asking():
            result = self._result_of(command)
        reply = dict(result) if isinstance(result, dict) else {"records": result}
        try:
            messages.check("deployed", {"seq": 1, **reply})
        except MessageError as error:
            raise TargetBrokeError(f"the function returned something wrong: {error}") from error
        return messages.outcome_of(reply)

    def _result_of(self, command: DeployCommand) -> Any:
        future = self._call(messages.deploy(1, command))
        if not wait([future], command.deadline).done:
            raise TargetHungError(f"the function did not return within {command.deadline:.3g} s")
        if error := future.exception():
            text = "".join(traceback.format_exception(error))
            raise TargetBrokeError(f"the target reported an error of its own\n{text}") from error
        return future.result()

    def _call(self, message: messages.Message) -> Future[Any]:
        """Call it in a thread of its own: one that hangs costs its case, and not the run."""
        future = Future[Any]()

        def work() -> None:
            try:
                result = self._function(message)
                future.set_result(
                    asyncio.run(_await(result)) if inspect.isawaitable(result) else result
                )
            except BaseException as error:  # noqa: BLE001  also a SystemExit ends up in its case
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future

    def close(self) -> None:
        """Nothing is held between deploys."""


async def _await(awaitable: Any) -> Any:
    return await awaitable
