"""A child process that gets a line and must answer with a line in time."""

import contextlib
import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import IO, cast

import psutil

from deploy_relay_kit.harness.targets.messages import show
from deploy_relay_kit.harness.targets.processes import is_group_alive, marked

MAX_LINE = 64 * 1024 * 1024
"""Longest line that is read, in bytes: room for the records of a case that answers at length."""
_KEPT = 64 * 1024  # bytes of stderr, and of stdout, that are kept for a person
_BLOCK = 64 * 1024
_GOODBYE = 1.0  # seconds to read what a dead child has left behind
_AUTHORITIES = {
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
}
ZONE = "Asia/Kolkata"
"""The time zone of a relay: in UTC, a date that is read in local time looks right."""
_MARK = "RELAY_HARNESS_CHILD"  # in the environment of a child and of all that it starts
_TURN = 0.01  # seconds between two looks at whether a child has ended


class ChildError(Exception):
    """The child did not answer with one line; the text says what it did instead."""


class ChildHungError(ChildError):
    """The child has not answered in time; `is_silent` when it wrote nothing at all."""

    is_silent = False


@contextlib.contextmanager
def another_zone() -> Iterator[None]:
    """Have this process in the time zone of a relay, where the system allows it."""
    if not hasattr(time, "tzset"):  # on Windows
        yield
        return
    before = os.environ.get("TZ")
    os.environ["TZ"] = ZONE
    time.tzset()
    try:
        yield
    finally:
        del os.environ["TZ"]
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def is_withheld(variable: str) -> bool:
    """Whether a variable of the environment is kept from a relay.

    Those that name a proxy (none leads to loopback) or authorities: what a relay trusts is what the
    deploy names, or its verdict would depend on the shell of its user.
    """
    return variable.lower().endswith("_proxy") or variable.upper() in _AUTHORITIES


class Child:
    """One running child; its children end with it, also those in a session of their own.

    Attributes:
        pid: its process id.

    """

    def __init__(self, command: Sequence[str]) -> None:
        """Start it.

        Raises:
            ChildError: the command cannot be run.

        """
        self._mark = secrets.token_hex(8)
        inherited = {name: it for name, it in os.environ.items() if not is_withheld(name)}
        try:
            self._process = subprocess.Popen(  # noqa: S603 - what the user asked to be run
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env={**inherited, "TZ": ZONE, _MARK: self._mark},
            )
        except OSError as error:
            raise ChildError(f"cannot run {command[0]!r}: {error.strerror or error}") from error
        self.pid = self._process.pid
        self._in, self._out, self._err = (
            cast("IO[bytes]", pipe)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
        )
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
        self._received = bytearray()
        self._said = bytearray()
        self._complained = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ, self._said)
        self._selector.register(self._err, selectors.EVENT_READ, self._complained)

    @property
    def stdout(self) -> str:
        """The end of all that it wrote to its standard output."""
        return self._said.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """The end of all that it wrote to its standard error."""
        return self._complained.decode("utf-8", "replace")

    def forget_output(self) -> None:
        """Begin `stdout` and `stderr` anew."""
        self._said.clear()
        self._complained.clear()

    def look(self) -> None:
        """Take what it wrote meanwhile.

        Raises:
            ChildError: it exited, or wrote to its standard output without being asked.
        """
        self._read(0)
        if self._received:
            raise ChildError(f"wrote without being asked: {show(self._received)}")

    # -- one question, one answer ----------------------------------------------------------------

    def ask(self, line: bytes, seconds: float) -> bytes:
        """Send a line, and return the line that comes back, without its end.

        Raises:
            ChildError: it exited, was silent for so long, or wrote something else than one line.

        """
        deadline = time.monotonic() + seconds
        self._read(0)
        if self._received:
            raise ChildError(f"wrote without being asked: {show(self._received)}")
        self._write(line, deadline, seconds)
        while b"\n" not in self._received:
            if len(self._received) > MAX_LINE:
                raise ChildError(f"wrote a line longer than {MAX_LINE:,} bytes")
            self._wait(deadline, seconds)
        answer, _, more = bytes(self._received).partition(b"\n")
        self._received.clear()
        if more:
            raise ChildError(f"wrote more than one line for one message; the first: {show(answer)}")
        return answer

    def _write(self, line: bytes, deadline: float, seconds: float) -> None:
        left = memoryview(line)
        # Read while writing, or a child that writes before it reads would wait for ever.
        self._selector.register(self._in, selectors.EVENT_WRITE)
        try:
            while left:
                self._wait(deadline, seconds)
                try:
                    left = left[os.write(self._in.fileno(), left[:_BLOCK]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    return  # reading finds out whether it is gone
        finally:
            self._selector.unregister(self._in)

    def _wait(self, deadline: float, seconds: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            wrote = "nothing"
            if self._received:
                wrote = f"{len(self._received):,} bytes without a line end: {show(self._received)}"
            hung = ChildHungError(f"did not answer within {seconds:.3g} s; it wrote {wrote}")
            hung.is_silent = not self._received
            raise hung
        self._read(left)

    def _read(self, seconds: float) -> None:
        """Take what is there, after waiting for something to be; ChildError when it has exited."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                continue
            block = os.read(key.fd, _BLOCK)
            kept: bytearray = key.data
            kept += block
            del kept[:-_KEPT]
            if kept is self._said:
                self._received += block
            if not block:
                self._selector.unregister(key.fileobj)
                if kept is self._said:
                    raise ChildError(self._last_words())

    def _last_words(self) -> str:
        code = self._end(_GOODBYE)
        rest = f", after {show(self._received)}" if self._received else ""
        if code is None:
            return f"closed its standard output without exiting{rest}"
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"exited ({how}) without an answer{rest}"

    # -- its end ---------------------------------------------------------------------------------

    def hang_up(self, seconds: float) -> int | None:
        """Close its standard input; return its exit code, or None when it does not end in time.

        Raises:
            ChildError: it wrote something before it ended.

        """
        self._in.close()
        deadline = time.monotonic() + seconds
        # It may still write more than a pipe holds; reading lets it end.
        while (code := self._end(0)) is None and time.monotonic() < deadline:
            with contextlib.suppress(ChildError):
                self._read(_TURN)
        with contextlib.suppress(ChildError):
            self._read(0)
        if self._received:
            raise ChildError(f"wrote after its last answer: {show(self._received)}")
        return code

    @property
    def has_children(self) -> bool:
        """Whether processes that it started are left; asked after it has ended itself."""
        return is_group_alive(self.pid) or bool(marked(_MARK, self._mark))

    def _end(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it and all its children, and release what it held; does nothing when done before.

        Returns once none of them runs any more.
        """
        if self._selector.get_map() is None:
            return
        # The group outlives its leader as long as one child is left in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._kill_children()  # before the rest is read: they may hold the pipes open
        deadline = time.monotonic() + _GOODBYE
        while self._selector.get_map() and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(ChildError):
                self._read(left)
        self._selector.close()
        for pipe in (self._in, self._out, self._err):
            pipe.close()

    def _kill_children(self) -> None:
        """End what it started, also in sessions of their own; looks at least once."""
        deadline = time.monotonic() + _GOODBYE
        while self.has_children:
            for left_over in marked(_MARK, self._mark):
                with contextlib.suppress(psutil.Error):
                    left_over.kill()
            if time.monotonic() > deadline:
                return
            time.sleep(_TURN)  # a signal is only sent by then
