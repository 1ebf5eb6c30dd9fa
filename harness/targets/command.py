"""A relay in any language, behind an adapter: a child process that speaks JSON lines."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence

from harness.targets import messages
from harness.targets.child import Child, ChildError, ChildHungError
from harness.targets.deploy_command import DeployCommand
from harness.targets.hang_budget import Patience
from harness.targets.messages import Kind, Message, MessageError
from harness.targets.outcome import Outcome, TargetBrokeError, TargetHungError

START_SECONDS = 15.0
"""How long an adapter may take to start; some languages are slow to."""
STOP_SECONDS = 5.0


class CommandTarget:
    """Starts an adapter when it is first needed, and anew after it broke.

    Whatever an adapter does wrong costs the case that asked it: the process and all its children
    are killed, and the next case gets a fresh one.
    """

    def __init__(self, command: Sequence[str]) -> None:
        """Prepare to run this command; nothing is started."""
        self.name = shlex.join(command)
        self._command = command
        self._child: Child | None = None
        self._started: Message | None = None
        self._seq = 0
        self._deploys = 0  # of the running child
        self._patience = Patience()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the adapter declares; it is started to find out.

        Raises:
            TargetBrokeError: it does not start.

        """
        return frozenset(self._declared["capabilities"])

    @property
    def identity(self) -> str:
        """The name and version that the adapter gives its relay; it is started to find out."""
        return f"{self._declared['relay']} {self._declared.get('version', '')}".rstrip()

    @property
    def _declared(self) -> Message:
        if self._started is None:
            self._running()
        assert self._started is not None
        return self._started

    @property
    def pid(self) -> int:
        """The process in which the relay runs, for as long as nothing breaks."""
        return self._running().pid

    @property
    def output(self) -> str:
        """The end of what the adapter wrote during the last deploy, to stdout and stderr."""
        return "" if self._child is None else f"{self._child.stdout}{self._child.stderr}"

    @property
    def stderr(self) -> str:
        """The end of what it wrote to stderr alone."""
        return "" if self._child is None else self._child.stderr

    def deploy(self, command: DeployCommand) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: the adapter crashed, hung, broke the protocol or reported an error.
            TargetSkippedError: the adapter would not do it, or never answers.

        """
        child = self._running()
        child.forget_output()
        message = messages.deploy(self._next(), command)
        self._deploys += 1
        with self._patience.asking():
            reply = self._ask(child, message, "deployed", command.deadline)
        return messages.outcome_of(reply)

    def close(self) -> None:
        """Tell the adapter to stop, and see to it that it does."""
        if self._child is None:
            return
        child, self._child = self._child, None
        with contextlib.suppress(ChildError):
            child.ask(messages.encode("stop", messages.stop(self._next())), STOP_SECONDS)
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
            start = messages.start(self._next())
            self._started = self._ask(child, start, "started", START_SECONDS)
            self._child, self._deploys = child, 0
        return self._child

    def _ask(self, child: Child, message: Message, answer: Kind, seconds: float) -> Message:
        line = messages.encode(message["verb"], message)
        try:
            reply = messages.decode(answer, child.ask(line, seconds), message["seq"])
            if answer == "started":
                messages.check_started(reply)
        except (ChildError, MessageError) as error:
            child.kill()
            self._child = None
            kind = TargetHungError if isinstance(error, ChildHungError) else TargetBrokeError
            what = message["verb"]
            if what == "deploy" and self._deploys > 1:  # alone, the case may well pass
                what += f" (deploy {self._deploys} of this process)"
            raise kind(_blame(what, error, child.stderr)) from error
        except BaseException:  # a person's Ctrl-C must not leave it running
            child.kill()
            self._child = None
            raise
        return reply


def _blame(asked: str, error: Exception, stderr: str) -> str:
    what = f"answered wrongly: {error}" if isinstance(error, MessageError) else str(error)
    shown = "\n".join(f"  | {line}" for line in stderr.splitlines())
    complaints = f"its standard error:\n{shown}" if shown else "its standard error is empty"
    return f"asked to {asked}, the adapter {what}\n{complaints}"
