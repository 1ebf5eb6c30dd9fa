"""A relay that is a Python function: `python:package.module:function`."""

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

from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.capabilities import OF_CALLED_TARGETS
from deploy_relay_kit.harness.targets.child import another_zone
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.messages import Deployed, MessageError
from deploy_relay_kit.harness.targets.outcome import (
    DEADLINE,
    HangBudget,
    Outcome,
    TargetBrokeError,
    TargetHungError,
)

DEFAULT_CAPABILITIES = ("mint.operations",)


class FunctionTarget:
    """Calls the function in this process, with a deploy message as an adapter reads it.

    The function may be a coroutine function. It returns the list of records, or a reply of the
    adapter protocol without its `seq`, such as `{"refused": "…"}`. `CAPABILITIES` beside it lists
    what the relay can do; the default is minting over the operations API.
    """

    def __init__(self, where: str) -> None:
        """Import the function.

        Args:
            where: `package.module:function`, found as Python finds it in the current directory.

        Raises:
            InputError: it cannot be found.
        """
        self.name = self.identity = f"python:{where}"
        module_name, _, name = where.partition(":")
        if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds text
            sys.path.insert(0, os.getcwd())  # noqa: PTH109
        try:
            module = importlib.import_module(module_name)
            self._function = cast("Callable[[dict[str, Any]], Any]", getattr(module, name))
        except (Exception, SystemExit) as error:  # an import may raise anything
            known = isinstance(error, ImportError | AttributeError)
            text = f"{error}" if known else f"{type(error).__name__}: {error}"
            raise InputError(f"--relay {self.name}: {text}") from error
        if not callable(self._function):
            raise InputError(f"--relay {self.name}: {name} is not a function")
        declared = getattr(module, "CAPABILITIES", DEFAULT_CAPABILITIES)
        if isinstance(declared, str):
            raise InputError(f"--relay {self.name}: CAPABILITIES is a text; give a list")
        self.capabilities = frozenset(declared) | OF_CALLED_TARGETS.keys()
        try:
            messages.check_capabilities(list(declared))
        except ValueError as error:
            raise InputError(f"--relay {self.name}: {error}") from error
        self.pid = os.getpid()
        self.output = self.stderr = ""
        self._budget = HangBudget()

    def deploy(self, command: DeployCommand, deadline: float = DEADLINE) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the function raised, or returned something that is not a reply.
            TargetSkippedError: the function did not do it, or never returns.
        """
        with self._budget.asking(), another_zone():
            result = self._result_of(command, deadline)
        members = result if isinstance(result, dict) else {"records": result}
        try:
            reply = messages.reply_from(Deployed, {"seq": command.seq, **members})
        except MessageError as error:
            raise TargetBrokeError(f"the function returned something wrong: {error}") from error
        return reply.outcome

    def _result_of(self, command: DeployCommand, deadline: float) -> Any:
        future = self._call(messages.plain(command))
        if not wait([future], deadline).done:
            raise TargetHungError(f"the function did not answer within {deadline:.3g} s")
        if error := future.exception():
            text = "".join(traceback.format_exception(error))
            raise TargetBrokeError(f"the relay reported an error of its own\n{text}") from error
        return future.result()

    def _call(self, message: dict[str, Any]) -> Future[Any]:
        """Call it in a thread of its own: a function that hangs costs its case, not the run."""
        future = Future[Any]()

        def work() -> None:
            try:
                result = self._function(message)
                future.set_result(
                    asyncio.run(_await(result)) if inspect.isawaitable(result) else result
                )
            except BaseException as error:  # noqa: BLE001  a SystemExit costs its case, too
                future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future

    def close(self) -> None:
        """Nothing is held between deploys."""


async def _await(awaitable: Any) -> Any:
    return await awaitable
