"""A relay in any language, behind an adapter: a child process that speaks JSON lines."""

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import UNSET, structs

from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.capabilities import OF_CALLED_TARGETS
from deploy_relay_kit.harness.targets.child import Child, ChildError, ChildHungError
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.messages import (
    Deployed,
    MessageError,
    Reply,
    Start,
    Started,
    Stop,
)
from deploy_relay_kit.harness.targets.outcome import (
    DEADLINE,
    HangBudget,
    Outcome,
    TargetBrokeError,
    TargetHungError,
)

START_SECONDS = 15.0
"""Time that an adapter has to start; some languages are slow."""
STOP_SECONDS = 5.0
_Reply = TypeVar("_Reply", bound=Reply)


class CommandTarget:
    """Starts an adapter when it is first needed, and again after it broke.

    A mistake of an adapter costs the case that asked it: the process and all its children are
    killed, and the next case gets a fresh one.
    """

    def __init__(self, command: Sequence[str], ca_file: Path | None = None) -> None:
        """Prepare to run this command; nothing is started.

        Args:
            command: starts the adapter.
            ca_file: what the deploys to come trust, as `start` tells it.
        """
        self.name = shlex.join(command)
        self._command = command
        self._ca_file = ca_file or UNSET
        self._child: Child | None = None
        self._started: Started | None = None
        self._seq = 0
        self._deploys = 0  # of the running child
        self._budget = HangBudget()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter declares; this starts it.

        Raises:
            TargetBrokeError: it does not start.
        """
        return frozenset(self._declared.capabilities) | OF_CALLED_TARGETS.keys()

    @property
    def identity(self) -> str:
        """The name and version of the relay, as the adapter gives them; this starts it."""
        return f"{self._declared.relay} {self._declared.version}".rstrip()

    @property
    def _declared(self) -> Started:
        if self._started is None:
            self._running()
        assert self._started is not None
        return self._started

    @property
    def pid(self) -> int:
        """The process in which the relay runs; another one after the adapter broke."""
        return self._running().pid

    @property
    def output(self) -> str:
        """The end of what the adapter wrote during the last deploy, apart from its reply."""
        return self.stderr

    @property
    def stderr(self) -> str:
        """The end of what it wrote to stderr alone."""
        return "" if self._child is None else self._child.stderr

    def deploy(self, command: DeployCommand, deadline: float = DEADLINE) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the adapter crashed, hung, broke the protocol or reported an error.
            TargetSkippedError: the adapter did not do it, or never answers.
        """
        child = self._running()
        child.forget_output()
        self._deploys += 1
        command = structs.replace(command, seq=self._next())
        with self._budget.asking():
            reply = self._ask(child, command, Deployed, deadline)
        return reply.outcome

    def close(self) -> None:
        """Tell the adapter to stop, and make sure that it does."""
        if self._child is None:
            return
        child, self._child = self._child, None
        with contextlib.suppress(ChildError):
            child.ask(messages.encode(Stop(self._next())), STOP_SECONDS)
            child.hang_up(STOP_SECONDS)
        child.kill()

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _running(self) -> Child:
        if self._child is None:
            try:
                child = Child(self._command)
            except ChildError as error:
                raise TargetBrokeError(f"the adapter {error}") from error
            self._started = self._ask(
                child, Start(self._next(), ca_file=self._ca_file), Started, START_SECONDS
            )
            self._child, self._deploys = child, 0
        return self._child

    def _ask(
        self, child: Child, message: Start | DeployCommand, kind: type[_Reply], seconds: float
    ) -> _Reply:
        line = messages.encode(message)
        try:
            return messages.decode(kind, child.ask(line, seconds), message.seq)
        except (ChildError, MessageError) as error:
            child.kill()
            self._child = None
            broke = TargetHungError if isinstance(error, ChildHungError) else TargetBrokeError
            raise broke(self._blame(kind, error, child.stderr)) from error
        except BaseException:  # Ctrl-C must not leave it running
            child.kill()
            self._child = None
            raise

    def _blame(self, kind: type[Reply], error: Exception, stderr: str) -> str:
        asked = "start" if kind is Started else "deploy"
        if kind is Deployed and self._deploys > 1:  # the case may pass alone
            asked += f" (deploy {self._deploys} of this process)"
        text = f"answered wrongly: {error}" if isinstance(error, MessageError) else str(error)
        if isinstance(error, ChildHungError) and error.is_silent and self._deploys <= 1:
            text += " (is its output flushed?)"
        shown = "\n".join(f"  | {line}" for line in stderr.splitlines())
        written = f"its standard error:\n{shown}" if shown else "its standard error is empty"
        return f"the adapter was asked to {asked} and {text}\n{written}"
