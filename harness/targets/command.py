"""A relay in any language, behind an adapter: a child process that speaks JSON lines."""

import contextlib
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

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


class Declaration(Protocol):
    """What a program says when it starts."""

    relay: str
    version: str
    capabilities: list[str]


_Declared = TypeVar("_Declared", bound=Declaration)


class ProgramTarget(ABC, Generic[_Declared]):
    """Starts a program when it is first needed, and again after it broke.

    A mistake of a program costs the case that asked it: the process and all its children are
    killed, and the next case gets a fresh one.
    """

    _noun = "adapter"

    def __init__(self, command: Sequence[str]) -> None:
        """Prepare to run this command; nothing is started."""
        self.name = shlex.join(command)
        self._command = command
        self._child: Child | None = None
        self._declaration: _Declared | None = None
        self._budget = HangBudget()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the program declares; this starts it.

        Raises:
            TargetBrokeError: it does not start.
        """
        return frozenset(self._declared.capabilities)

    @property
    def identity(self) -> str:
        """The name and version of the relay, as the program gives them; this starts it."""
        return f"{self._declared.relay} {self._declared.version}".rstrip()

    @property
    def pid(self) -> int:
        """The process in which the relay runs; another one after the program broke."""
        return self._running().pid

    @property
    def output(self) -> str:
        """The end of what the program wrote during the last deploy, apart from its answers."""
        return self.stderr

    @property
    def stderr(self) -> str:
        """The end of what it wrote to stderr alone."""
        return "" if self._child is None else self._child.stderr

    @property
    def _declared(self) -> _Declared:
        if self._declaration is None:
            self._running()
        assert self._declaration is not None
        return self._declaration

    def _running(self) -> Child:
        if self._child is None:
            try:
                child = Child(self._command)
            except ChildError as error:
                raise TargetBrokeError(f"the {self._noun} {error}") from error
            with self._killed_on_error(child):
                self._declaration = self._start(child)
            self._child = child
        return self._child

    @abstractmethod
    def _start(self, child: Child) -> _Declared:
        """Ask a new process to begin; TargetBrokeError if it does not."""

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    @contextlib.contextmanager
    def _killed_on_error(self, child: Child) -> Iterator[None]:
        """Kill the child on any error inside, also Ctrl-C, which must not leave it running."""
        try:
            yield
        except BaseException:
            child.kill()
            self._child = None
            raise


class CommandTarget(ProgramTarget[Started]):
    """An adapter, which is asked with lines of JSON."""

    def __init__(self, command: Sequence[str], ca_file: Path | None = None) -> None:
        """Prepare to run this command; nothing is started.

        Args:
            command: starts the adapter.
            ca_file: what the deploys to come trust, as `start` tells it.
        """
        super().__init__(command)
        self._ca_file = ca_file or UNSET
        self._seq = 0
        self._deploys = 0  # of the running child

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter declares, and what only an origin cannot do; this starts it."""
        return super().capabilities | OF_CALLED_TARGETS.keys()

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

    def _start(self, child: Child) -> Started:
        self._deploys = 0
        start = Start(self._next(), ca_file=self._ca_file)
        return self._ask(child, start, Started, START_SECONDS)

    def _ask(
        self, child: Child, message: Start | DeployCommand, kind: type[_Reply], seconds: float
    ) -> _Reply:
        line = messages.encode(message)
        try:
            with self._killed_on_error(child):
                return messages.decode(kind, child.ask(line, seconds), message.seq)
        except (ChildError, MessageError) as error:
            broke = TargetHungError if isinstance(error, ChildHungError) else TargetBrokeError
            raise broke(self._blame(kind, error, child.stderr)) from error

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
