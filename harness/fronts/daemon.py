"""A program of this machine that serves on loopback, with files in a directory of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

LOG = "output.log"
"""What a program prints, in its directory."""

_START_DEADLINE = 10.0
_STOP_DEADLINE = 2.0  # httpd gives a request in progress longer
_POLL = 0.01
_ENOUGH_OF_THE_LOG = 4000


def find_program(name: str) -> str | None:
    """The path of a program, also from the directories of daemons; None if it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which(name, path=path)


class RealProgram:
    """A program of this machine, started with files in a directory of its own.

    Attributes:
        program: its name.
    """

    program: ClassVar[str]

    def __init__(self) -> None:
        self._port = 0
        self._cleanup = contextlib.ExitStack()

    @classmethod
    def is_available(cls) -> bool:
        """Whether the program is installed, on the path or in a directory of daemons."""
        return find_program(cls.program) is not None

    def _run(self) -> None:
        """Start the program, and wait until it serves.

        Raises:
            RuntimeError: it is not installed or did not start; the text shows its log.
        """
        program = find_program(self.program)
        if program is None:
            raise RuntimeError(f"no {self.program} on this machine: install it")
        with contextlib.ExitStack() as cleanup:
            directory = cleanup.enter_context(directory_for(self.program))
            with reserved_port() as self._port:
                command = [program, *self._prepared(directory)]
                environment = self._environment(directory)
                cleanup.enter_context(running(command, directory, self._ready, environment))
            self._cleanup = cleanup.pop_all()

    def _end(self) -> None:
        """End the program and remove its directory; do nothing when it has ended already."""
        self._cleanup.close()

    @abstractmethod
    def _prepared(self, directory: Path) -> list[str]:
        """Write the program's files, and return the arguments that keep it in the foreground."""

    @abstractmethod
    def _ready(self) -> None:
        """Raise OSError as long as the program does not serve."""

    def _environment(self, _directory: Path) -> Mapping[str, str]:
        return {}


@contextlib.contextmanager
def directory_for(program: str) -> Iterator[Path]:
    """A new directory for the files of a program; it is removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f"{program}-front-") as directory:
        yield Path(directory)


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A free port of 127.0.0.1 that, on Linux, only a server with SO_REUSEADDR can take."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":  # other systems refuse the second socket
            holder.close()
        yield port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    directory: Path,
    ready: Callable[[], None],
    environment: Mapping[str, str] | None = None,
    seconds: float = _START_DEADLINE,
) -> Iterator[None]:
    """Run a program until the end of the context; enter it when the program serves.

    Args:
        command: the program and its arguments.
        directory: its working directory, which gets its log.
        ready: raises OSError as long as the program does not serve.
        environment: variables in addition to those of this process.
        seconds: how long it may take to start.

    Raises:
        RuntimeError: the program ended or did not serve in time; the text shows its log.
    """
    log = directory / LOG
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - a program of this machine, on our own files
            command,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        try:
            _wait_until(ready, process, seconds)
        except OSError as error:
            end = log.read_text(errors="replace")[-_ENOUGH_OF_THE_LOG:]
            name = Path(command[0]).name
            raise RuntimeError(f"{name} did not start ({error}); its log:\n{end}") from error
        yield
    finally:
        _end(process)


def _wait_until(
    ready: Callable[[], None], process: subprocess.Popen[bytes], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ready()
        except OSError:
            if process.poll() is not None:
                raise ChildProcessError(f"exit code {process.returncode}") from None
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a program with its workers; kill them when that takes too long."""
    process.terminate()
    try:
        process.wait(_STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
