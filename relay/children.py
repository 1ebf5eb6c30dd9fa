"""Processes of a deploy: each waits on a socket for what to do, and ends when that is closed."""

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from deploy_relay_kit.relay.tlstransport import CLOSE_SECONDS

_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from deploy_relay_kit.relay.worker import main; main(sys.stdin.buffer)"
)
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

Main = Callable[[BinaryIO], None]
"""The work of a child; the file is its end of the socket."""


@dataclass(frozen=True)
class Child:
    """A process that was started."""

    channel: socket.socket
    wait: Callable[[], int]
    """Returns its exit code when it has ended; negative for a signal."""
    kill: Callable[[], None]

    async def end(self) -> int:
        """Close its socket, which ends it, and wait for that; its exit code."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)
        self.channel.close()
        ended = asyncio.ensure_future(asyncio.to_thread(self.wait))
        try:
            async with asyncio.timeout(2 * CLOSE_SECONDS):
                return await asyncio.shield(ended)
        except TimeoutError:
            self.kill()
            return await ended
        finally:
            if not ended.done():
                self.kill()


_ready: list[Child] = []


def start() -> Child:
    """A child that was made ready, or a new one.

    Raises:
        OSError: It cannot be started.
    """
    return _ready.pop() if _ready else _program()


@contextlib.contextmanager
def ready(count: int, main: Main) -> Iterator[None]:
    """Start so many children before the event loop of a deploy runs, which then uses them.

    They are copies of this process where that is safe, and need not import all its modules again.
    """
    forks = sys.platform == "linux" and threading.active_count() == 1
    try:
        with contextlib.suppress(OSError):  # the deploy goes on with fewer
            while len(_ready) < count:
                _ready.append(_copy(main) if forks else _program())
        yield
    finally:
        while _ready:
            asyncio.run(_ready.pop().end())


def _program() -> Child:
    ours, theirs = socket.socketpair()
    with theirs, _signals_blocked():
        try:
            process = subprocess.Popen(  # noqa: S603  this Python, with a constant program
                [sys.executable, "-I", "-c", _START],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
    ours.sendall(pickle.dumps(sys.path))
    return Child(ours, process.wait, process.kill)


def _copy(main: Main) -> Child:
    ours, theirs = socket.socketpair()
    with theirs, _signals_blocked():
        try:
            pid = os.fork()
        except BaseException:
            ours.close()
            raise
        if pid == 0:
            # The ends of this process's own siblings would stay open here when it is gone.
            for channel in (ours, *(child.channel for child in _ready)):
                channel.close()
            _work(main, theirs)

    def wait() -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def kill() -> None:
        os.kill(pid, signal.SIGKILL)

    return Child(ours, wait, kill)


def _work(main: Main, channel: socket.socket) -> None:
    """Be a child; never return to the code of the parent, which would clean up after itself."""
    code = 1
    try:
        main(channel.makefile("rb"))
        code = 0
    except BaseException:  # noqa: BLE001  as at the end of a program
        traceback.print_exc()
    finally:
        os._exit(code)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """A child that is started meanwhile never gets them, and its parent gets them afterwards.

    It ends with its socket instead, after its connections.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
