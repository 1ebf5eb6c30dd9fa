"""One accepted socket, tapped: each read and write has a deadline and leaves its trace.

The socket never blocks; waiting is done by `poll`, so that another thread ends any wait at once
by an order. Reads go into the caller's buffer, as much as the kernel and TLS have
ready, since reads of one TLS record each are what makes a Python server slow.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from typing import NoReturn

from harness.transport import handshake as handshake_tap
from harness.transport.control import Orders
from harness.witness.connections import ConnectionWitness
from harness.witness.moments import MomentKind

_FOR_EVER = 3600.0  # longer than any test waits; bounds a forgotten peer
HEAD_LIMIT = 64 * 1024
_HEAD_END = b"\r\n\r\n"
_HANG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ConnectionEnded(ConnectionError):  # noqa: N818 - an end is not always an error
    """The conversation is over: the client has gone, a deadline passed or the peer was stopped."""


def _is_fin(error: OSError) -> bool:
    """Tell the end of a TLS connection, with or without close_notify, from its reset."""
    if isinstance(error, ssl.SSLEOFError):
        # OpenSSL 3 names a FIN so; a socket error comes as the same class without a reason.
        return error.reason == "UNEXPECTED_EOF_WHILE_READING"
    return isinstance(error, ssl.SSLZeroReturnError)


def is_readable(fd: int) -> bool:
    """Whether a read on this descriptor would not wait."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class Connection:
    """Reads and writes of one accepted socket, plain or TLS."""

    def __init__(
        self, sock: socket.socket, witness: ConnectionWitness, orders: Orders, *, timeout: float
    ) -> None:
        sock.settimeout(0)
        # Or an answer waits for ACKs; macOS refuses it on a socket that was reset meanwhile.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: socket.socket | ssl.SSLSocket = sock
        self.witness = witness
        self.timeout = timeout
        self.open = True
        self.silent = False
        """Whether the peer has stopped reading and writing for good."""
        self._orders = orders
        self._ahead = bytearray()  # read from the socket, not yet asked for
        self._at_end = False  # the client's FIN was met: OpenSSL takes a second read amiss
        self._reset: OSError | None = None  # met behind bytes that had to be delivered first
        self._poll = select.poll()
        self._poll.register(sock, 0)
        self._fd = sock.fileno()
        self._orders_fd = orders.fileno()
        self._poll.register(self._orders_fd, select.POLLIN)

    # -- waiting ---------------------------------------------------------------------------------

    def _poll_for(self, events: int, seconds: float) -> bool:
        """Wait for events; True when they came, False when the time is up. Obey an order first."""
        self._poll.modify(self._fd, events)
        deadline = time.monotonic() + seconds
        while True:
            self._hear_orders()
            ready = self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                return False
            if all(fd == self._fd for fd, _ in ready):
                return True

    def _hear_orders(self) -> None:
        """Obey the newest order, and have the next one wake this thread."""
        fd = self._orders.fileno()
        if fd != self._orders_fd:
            self._poll.unregister(self._orders_fd)
            self._poll.register(fd, select.POLLIN)
            self._orders_fd = fd
        self.obey()

    def _wait(self, events: int, deadline: float, purpose: str) -> None:
        if not self._poll_for(events, deadline - time.monotonic()):
            self._give_up(purpose)

    def _give_up(self, purpose: str) -> NoReturn:
        self.witness.note(MomentKind.TIMED_OUT, purpose=purpose, seconds=self.timeout)
        raise ConnectionEnded(f"{purpose} took too long")

    def pause(self, seconds: float) -> bool:
        """Do nothing for a while; True at once when the client hangs up."""
        return self._poll_for(_HANG_UP, seconds)

    def wait_for_input(self, timeout: float) -> bool:
        """Wait for something to read; False when nothing came in time."""
        if self._ahead or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            return True
        return self._poll_for(select.POLLIN, timeout)

    def wait_for_request(self) -> None:
        """Wait for the first byte of a request, or the end of the input, without reading."""
        if not self.wait_for_input(self.timeout):
            self._give_up("waiting for a request")

    # -- orders from other threads ---------------------------------------------------------------

    def obey(self) -> None:
        """Carry out an order from another thread, if there is one."""
        order = self._orders.current
        if not self.open or order is None or (self.silent and order == "silence"):
            return
        if order == "silence":
            self.be_silent()
        if order == "reset":
            self.reset()
        else:
            self.close()
        raise ConnectionEnded("the peer was stopped")

    # -- handshake -------------------------------------------------------------------------------

    def handshake(self, context: ssl.SSLContext) -> None:
        """Become a TLS connection; raise `ConnectionEnded` when that fails, with all witnessed."""
        try:
            sock = context.wrap_socket(
                self.sock,
                server_side=True,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
            self.sock = sock
            handshake_tap.attach(sock, self.witness)
            self._shake_hands(sock)
        except ConnectionEnded as error:
            self.witness.handshake_error = str(error)
            raise
        except OSError as error:
            self.obey()
            self.witness.handshake_error = self._why_no_handshake(error)
            self.witness.note(MomentKind.HANDSHAKE_FAILED, reason=self.witness.handshake_error)
            raise ConnectionEnded(self.witness.handshake_error) from error
        handshake_tap.detach(sock)
        if hasattr(socket, "TCP_QUICKACK"):
            # We send no session tickets that the last flight's ACK could ride on; without it, a
            # client with Nagle's algorithm holds its request back for 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.witness.tls_version = sock.version()
        self.witness.note(
            MomentKind.HANDSHAKE_DONE, version=sock.version(), server_name=self.witness.server_name
        )

    def _shake_hands(self, sock: ssl.SSLSocket) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                sock.do_handshake()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline, "the TLS handshake")
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline, "the TLS handshake")
            else:
                return

    def _why_no_handshake(self, error: OSError) -> str:
        """Witness an end that the client made; what went wrong, in words or as OpenSSL names it."""
        if _is_fin(error) or isinstance(error, BrokenPipeError):  # EPIPE: it has closed before
            self.witness.closed("client", "FIN")
            return "the client closed the connection"
        if isinstance(error, ssl.SSLError) and error.library is not None:
            return error.reason
        self.witness.closed("client", "RST")
        return "the client reset the connection"

    @property
    def buffered(self) -> bool:
        """Whether bytes of a next request have already been read from the socket."""
        return bool(self._ahead)

    @property
    def input_waits(self) -> bool:
        """Whether bytes or an end wait in the kernel; safe to ask from any thread."""
        return self.open and is_readable(self._fd)

    def read_client_hello(self) -> None:
        """Read the first TLS record of the client, and leave it unanswered."""
        header = self.read(5)
        record = self.read(int.from_bytes(header[3:5]))
        if len(header) < 5 or len(record) < int.from_bytes(header[3:5]):  # noqa: PLR2004 - as read
            raise ConnectionEnded("the client closed the connection in its ClientHello")
        self.witness.note(MomentKind.CLIENT_HELLO, size=len(header) + len(record))

    # -- reading ---------------------------------------------------------------------------------

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` with what is there, waiting for the first byte; 0 at the client's FIN."""
        if self._ahead:
            count = min(len(buffer), len(self._ahead))
            buffer[:count] = self._ahead[:count]
            del self._ahead[:count]
            return count
        if self._reset is not None:
            raise self._lost(self._reset)
        self.obey()
        if self._at_end:
            self.witness.closed("client", "FIN")
            return 0
        deadline = time.monotonic() + self.timeout
        while (filled := self._read_ready(buffer)) is None:
            self._wait(select.POLLIN, deadline, "waiting for bytes")
        return filled

    def _read_ready(self, buffer: memoryview) -> int | None:
        """Read until the buffer is full or a read would wait; None when nothing is ready."""
        filled = 0
        try:
            while filled < len(buffer) and (count := self.sock.recv_into(buffer[filled:])):
                filled += count
        except (ssl.SSLWantReadError, BlockingIOError):
            return filled or None
        except OSError as error:
            self.obey()
            if not _is_fin(error):
                if not filled:
                    raise self._lost(error) from error
                self._reset = error  # the bytes came first: deliver them, and this next time
                return filled
        if filled < len(buffer):
            self._at_end = True  # witnessed when what came before it has been taken in
            if not filled:
                self.witness.closed("client", "FIN")
        return filled

    def _lost(self, error: OSError) -> ConnectionEnded:
        self.witness.closed("client", "RST")
        return ConnectionEnded(str(error))

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

    def read_head(self) -> bytes | None:
        """The raw request head with its empty line, behind empty lines that came before it.

        None when the client closed before one; 64 KiB of one that has not ended by then.

        Raises:
            ConnectionEnded: no whole head within the time.

        """
        head = b""
        while not head.strip(b"\r\n") and len(head) < HEAD_LIMIT:
            more = self._read_through(_HEAD_END, HEAD_LIMIT - len(head))
            head += more
            if not more.endswith(_HEAD_END):
                break
        is_whole = head.endswith(_HEAD_END) and head.strip(b"\r\n")
        if is_whole or len(head) >= HEAD_LIMIT:
            return head
        if head:
            self.witness.note(MomentKind.HEAD_CUT, size=len(head))
        return None

    def readline(self, limit: int = HEAD_LIMIT) -> bytes:
        """One line with its LF, cut at `limit` bytes."""
        return self._read_through(b"\n", limit)

    def _read_through(self, mark: bytes, limit: int) -> bytes:
        data = bytearray()
        block = memoryview(bytearray(16 * 1024))
        while True:
            count = self.read_into(block)
            searched = max(0, len(data) - len(mark) + 1)
            data += block[:count]
            end = data.find(mark, searched)
            if end >= 0 or count == 0 or len(data) >= limit:
                cut = min(end + len(mark), limit) if end >= 0 else min(len(data), limit)
                self.unread(bytes(data[cut:]))
                return bytes(data[:cut])

    # -- writing and ending ----------------------------------------------------------------------

    def write(self, data: bytes | memoryview) -> None:
        """Send everything, or raise `ConnectionEnded`."""
        view = memoryview(data)
        deadline = time.monotonic() + self.timeout
        while view:
            try:
                view = view[self.sock.send(view) :]
            except (ssl.SSLWantWriteError, BlockingIOError):
                self._wait(select.POLLOUT, deadline, "writing the answer")
            except ssl.SSLWantReadError:  # pragma: no cover - only a renegotiating client
                self._wait(select.POLLIN, deadline, "writing the answer")
            except OSError as error:
                raise self._lost(error) from error

    def be_silent(self) -> NoReturn:
        """Neither read nor write again; end when the client hangs up or the peer is stopped.

        A client that closes with bytes on their way is never seen to: they are not read.
        """
        self.silent = True
        self.witness.note(MomentKind.SILENT)
        if self.open:  # an answer to `Connection: close` has closed it
            self.pause(_FOR_EVER)
        self.gone()

    def gone(self) -> NoReturn:
        """Find out, without reading what is still on its way, how the client ended it."""
        if self.open and self.witness.closed_by is None:
            self._poll.modify(self._fd, 0)
            hung_up = any(events & select.POLLHUP for _, events in self._poll.poll(0))
            self.witness.closed("client", "RST" if hung_up else "FIN")
        raise ConnectionEnded("the client has gone, or the peer was stopped")

    def close(self) -> None:
        """End with FIN (and close_notify under TLS); the kernel resets if input was left unread."""
        if self.open:
            self._send_end()
            self._release()

    def close_unread(self) -> None:
        """End with FIN at once, and hold what is still on its way, unread, until the client goes.

        A mere close would have the kernel send a reset behind the FIN as soon as there is input. A
        client that has not hung up within the timeout is reset by that.
        """
        if self.open:
            self._send_end()
            self.witness.note(MomentKind.HELD_OPEN)
            self.silent = True
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
        """Witness an end of the client's that has not been read."""
        if self._at_end:
            self.witness.closed("client", "FIN")
            return
        try:
            waiting = socket.socket.recv(self.sock, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            self.witness.closed("client", "RST")
            return
        if not waiting:
            self.witness.closed("client", "FIN")

    def reset(self) -> None:
        """End with RST at once, dropping whatever was still on its way."""
        if self.open:
            self._look_ahead()
            self.witness.closed("peer", "RST")
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._release()

    def _release(self) -> None:
        self.open = False
        self._poll.unregister(self._fd)
        self.sock.close()
