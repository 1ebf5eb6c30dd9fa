"""One accepted socket, plain or TLS: each read and write has a deadline and is witnessed.

The socket never blocks. Waiting is done by `poll`, so that a command from another thread ends any
wait at once. A read fills the caller's buffer with all that the kernel and TLS have ready: one read
per TLS record would make a Python server slow.
"""

import contextlib
import select
import socket
import ssl
import struct
from enum import Enum, auto
from typing import NoReturn

from deploy_relay_kit.harness.transport.control import Command, Control, is_readable
from deploy_relay_kit.harness.transport.link import Link
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import ConnectionWitness
from deploy_relay_kit.harness.witness.moments import MomentKind

_FOR_EVER = 3600.0  # longer than any test waits; bounds a forgotten peer
_HANG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FIN = ssl.SSLZeroReturnError()


class ConnectionEnded(ConnectionError):  # noqa: N818 - an end is not always an error
    """The connection is over: the client has gone, a deadline passed or the peer was stopped."""


class State(Enum):
    """What a connection is doing."""

    ACTIVE = auto()  # reads, answers, or waits for the rest of a request
    IDLE = auto()  # waits for a request, of which it has read nothing
    SILENT = auto()  # is open, but reads and writes nothing more
    CLOSED = auto()


def is_fin(error: OSError) -> bool:
    """Whether an error of a read is a FIN, with or without close_notify under TLS."""
    if isinstance(error, ssl.SSLEOFError):
        # OpenSSL 3 names a FIN like this; a reset has the same class without a reason.
        return error.reason == "UNEXPECTED_EOF_WHILE_READING"
    return isinstance(error, ssl.SSLZeroReturnError)


class Connection:
    """Reads and writes of one accepted socket."""

    def __init__(
        self, sock: socket.socket, witness: ConnectionWitness, control: Control, *, timeout: float
    ) -> None:
        sock.settimeout(0)
        # Without it an answer waits for ACKs; macOS refuses it on a socket that was just reset.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: socket.socket | ssl.SSLSocket = sock
        self.witness = witness
        self.timeout = timeout
        self.state = State.ACTIVE
        self.link = Link()
        self.turn: object = None  # of the plan of the server
        self._control = control
        self._ahead = bytearray()  # read from the socket, not yet asked for
        # How the client ended its input. A read after this would not show it a second time.
        self._client_end: OSError | None = None
        self._poll = select.poll()
        self._fd = sock.fileno()
        self._poll.register(self._fd, 0)
        self._poll.register(control, select.POLLIN)

    @property
    def is_open(self) -> bool:
        return self.state is not State.CLOSED

    def wait(self, events: int, deadline: float, purpose: str) -> None:
        """Wait for events of the socket; raise `ConnectionEnded` at the deadline."""
        if not self._poll_for(events, deadline - now()):
            self._time_out(purpose)

    def pause(self, seconds: float) -> bool:
        """Do nothing for a while; True at once when the client hangs up."""
        return self._poll_for(_HANG_UP, seconds)

    def wait_for_input(self, timeout: float) -> bool:
        """Wait for bytes or an end to read; False when nothing arrives in time."""
        if self._ahead or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            return True
        return self._poll_for(select.POLLIN, timeout)

    def wait_for_request(self) -> None:
        """Be idle until a request begins, or the input ends; read nothing."""
        if self._ahead:
            return
        self._become(State.IDLE)
        try:
            if not self.wait_for_input(self.timeout):
                self._time_out("waiting for a request")
        finally:
            if self.state is State.IDLE:
                self._become(State.ACTIVE)

    @property
    def has_input(self) -> bool:
        """Whether bytes or an end wait in the kernel; safe to call from any thread."""
        return self.is_open and is_readable(self._fd)

    def _become(self, state: State) -> None:
        with self.witness.changed:
            self.state = state
            self.witness.changed.notify_all()

    def _poll_for(self, events: int, seconds: float) -> bool:
        """Wait for events; False when none happens in time. A command is obeyed at once."""
        self._poll.modify(self._fd, events)
        deadline = now() + seconds
        while True:
            self.obey()
            left = max(0.0, deadline - now())
            ready = {fd for fd, _ in self._poll.poll(left * 1000)}
            if ready <= {self._fd} and (ready or now() >= deadline):
                return bool(ready)

    def _time_out(self, purpose: str) -> NoReturn:
        self.witness.note(MomentKind.TIMED_OUT, purpose=purpose, seconds=self.timeout)
        raise ConnectionEnded(f"{purpose} took too long")

    def obey(self) -> None:
        """Carry out a command of another thread, if there is one that has not been obeyed."""
        command = self._control.command
        if command is None or self.state is State.CLOSED:
            return
        if command is Command.SILENCE:
            if self.state is not State.SILENT:
                self.be_silent()
        else:
            (self.reset if command is Command.RESET else self.close)()
            raise ConnectionEnded("the peer was stopped")

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` with the ready bytes; wait for the first; 0 at the client's FIN."""
        if self._ahead:
            count = min(len(buffer), len(self._ahead))
            buffer[:count] = self._ahead[:count]
            del self._ahead[:count]
            return count
        self.obey()
        deadline, pace = now() + self.timeout, self.link.receive
        while self._client_end is None:
            if filled := self._read_ready(buffer if pace is None else buffer[: pace.block]):
                if pace is not None:
                    self._poll_for(0, pace.after(filled))
                return filled
            if self._client_end is None:
                self.wait(select.POLLIN, deadline, "waiting for bytes")
        self._witness_client_end()
        if is_fin(self._client_end):
            return 0
        raise ConnectionEnded(str(self._client_end)) from self._client_end

    def _read_ready(self, buffer: memoryview) -> int:
        """Read until the buffer is full, a read would wait, or the input ends."""
        filled = 0
        try:
            while filled < len(buffer):
                count = self.sock.recv_into(buffer[filled:])
                if not count:
                    self._client_end = _FIN
                    break
                filled += count
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        except OSError as error:
            self.obey()
            self._client_end = error
        return filled

    def _witness_client_end(self) -> None:
        if self._client_end is not None:
            self.witness.closed("client", "FIN" if is_fin(self._client_end) else "RST")

    def unread(self, data: bytes) -> None:
        """Give back bytes that belong to the next request."""
        self._ahead[:0] = data

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the client's FIN."""
        data = bytearray(size)
        view = memoryview(data)
        filled = 0
        while filled < size and (count := self.read_into(view[filled:])):
            filled += count
        return bytes(view[:filled])

    def write(self, data: bytes | memoryview) -> None:
        """Send everything, or raise `ConnectionEnded`."""
        view = memoryview(data)
        deadline, pace = now() + self.timeout, self.link.send
        while view:
            try:
                sent = self.sock.send(view if pace is None else view[: pace.block])
                view = view[sent:]
                if pace is not None:
                    self._poll_for(0, pace.after(sent))
                    deadline = now() + self.timeout
            except (ssl.SSLWantWriteError, BlockingIOError):
                self.wait(select.POLLOUT, deadline, "writing the answer")
            except ssl.SSLWantReadError:  # pragma: no cover - only a renegotiating client
                self.wait(select.POLLIN, deadline, "writing the answer")
            except OSError as error:
                self.witness.closed("client", "RST")
                raise ConnectionEnded(str(error)) from error

    def be_silent(self) -> NoReturn:
        """Neither read nor write again; end when the client hangs up or the peer is stopped.

        A client that closes with bytes on their way is not noticed: they are not read.
        """
        self.fall_silent(MomentKind.SILENT)
        if self.is_open:  # an answer to `Connection: close` has closed it
            self.pause(_FOR_EVER)
        self.end_with_client()

    def fall_silent(self, why: MomentKind) -> None:
        """Count as silent, for this reason: nothing more is read from it."""
        if self.is_open:
            self.state = State.SILENT
            self._poll.modify(self._control, select.POLLHUP)
        self.witness.note(why)

    def end_with_client(self) -> NoReturn:
        """Find out, without reading what is still on its way, how the client ended it."""
        if self.is_open and self.witness.closed_by is None:
            self._poll.modify(self._fd, 0)
            hung_up = dict(self._poll.poll(0)).get(self._fd, 0) & select.POLLHUP
            self.witness.closed("client", "RST" if hung_up else "FIN")
        raise ConnectionEnded("the client has gone, or the peer was stopped")

    def lose(self) -> NoReturn:
        """Be lost: send nothing, and reset at the next bytes or the end of the client."""
        self.fall_silent(MomentKind.LOST)
        self._poll_for(select.POLLIN, _FOR_EVER)
        self.reset()
        raise ConnectionEnded("the connection was lost after an answer")

    def close(self) -> None:
        """End with FIN (and close_notify under TLS); the kernel resets if input was left unread."""
        if self.is_open:
            self._send_end()
            self._release()

    def close_unread(self) -> None:
        """End with FIN at once, and hold what is still on its way, unread, until the client goes.

        After a plain close the kernel would send a reset behind the FIN as soon as there is input.
        A client that has not hung up within the timeout gets that reset.
        """
        if self.is_open:
            self._send_end()
            self.fall_silent(MomentKind.HELD_OPEN)
            self.pause(self.timeout)
            self._release()

    def _send_end(self) -> None:
        self._look_ahead()
        self.witness.closed("peer", "FIN")
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()  # writes close_notify; not waited for
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def _look_ahead(self) -> None:
        """Witness an end of the client that has not been read."""
        if self._client_end is None:
            try:
                if not socket.socket.recv(self.sock, 1, socket.MSG_PEEK):
                    self._client_end = _FIN
            except BlockingIOError:
                return
            except OSError as error:
                self._client_end = error
        self._witness_client_end()

    def reset(self) -> None:
        """End with RST at once, dropping all that was still on its way."""
        if self.is_open:
            self._look_ahead()
            self.witness.closed("peer", "RST")
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._release()

    def _release(self) -> None:
        self.state = State.CLOSED
        self._poll.unregister(self._fd)
        self.sock.close()
