"""An asyncio transport that encrypts straight into its socket.

The TLS of asyncio encrypts into memory, and what comes out is copied three times more on its way
to the socket, which with one packet for each record cost a fifth of the processor time of a deploy.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from deploy_relay_kit.relay.sockets import LOST, TURN_BYTES, untaken_bytes

_END_SECONDS = 30.0  # for the rest of what is sent, as in asyncio
CLOSE_SECONDS = 1.0  # how long a peer may take to answer a close, with a descriptor in use
_LOOK_SECONDS = 0.25  # between two looks at what the peer has taken
_UNSENT_BYTES = 4 << 20  # in the system: a sender that comes back too late for a quick peer pays
_AGAIN = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsSocket(ssl.SSLSocket):
    """`is_closed` says whether the peer closed its side (close_notify), so that nothing is missing.

    Without TLS it sends nothing: only `read` and `write` are used, which refuse it.
    """

    is_closed = False

    def shutdown(self, how: int) -> None:
        """End the connection, not its TLS."""
        socket.socket.shutdown(self, how)

    def has_hung_up(self) -> bool:
        """Its transport notices that by itself."""
        return False


class TlsTransport(asyncio.Transport):
    """Calls its protocol as the transports of asyncio do."""

    def __init__(self, tls: TlsSocket, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": tls, "ssl_object": tls, "sslcontext": tls.context})
        self.progress: Callable[[], object] = bool
        """Called when the peer has taken something while the connection had no room for more."""
        self._tls = tls
        self._number = tls.fileno()  # for a socket, asyncio would ask the system for its addresses
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._unsent = deque[memoryview]()
        self._is_in_bulk = False
        self._waits_to_write = False
        self._looking: asyncio.TimerHandle | None = None
        self._untaken = 0  # bytes, at the last look
        self._has_paused = False  # the protocol
        self._lost: OSError | None = None
        self._is_reading = True
        self._is_closing = False
        self._has_ended = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._waits_for_close = False
        protocol.connection_made(self)
        if self._is_reading:  # the protocol has not paused it
            self._loop.add_reader(self._number, self._read)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            with contextlib.suppress(OSError):
                return self._tls.getpeername()
        return super().get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    # Reading

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        if self._is_reading and not self._is_closing:
            self._is_reading = False
            self._loop.remove_reader(self._number)

    def resume_reading(self) -> None:
        if not self._is_reading and not self._has_ended:
            self._is_reading = True
            self._loop.add_reader(self._number, self._read)

    def _read(self) -> None:
        if self._is_closing and not self._unsent:
            self._close_tls()
            return
        try:
            # One record at most, so nothing decrypted is left without a further event.
            data = self._tls.read(TURN_BYTES)
        except _AGAIN:
            return
        except ssl.SSLEOFError:
            self._end(self._lost)
        except ssl.SSLError as error:
            self._end(error)
        except OSError as error:
            self._end(self._lost or error)
        else:
            if data:
                if not self._is_closing:
                    self._call(self._protocol.data_received, data)
                return
            self._tls.is_closed = True
            self._unsent.clear()
            if self._is_closing:
                self._close_tls()
            else:
                self._call(self._protocol.eof_received)
                self.close()

    def _call(self, method: Callable[..., object], *arguments: object) -> None:
        """Call the protocol, whose exception ends the connection, as in asyncio."""
        try:
            method(*arguments)
        except Exception as error:  # noqa: BLE001  it is reported
            what = {"message": f"{method.__name__}() failed", "exception": error}
            self._loop.call_exception_handler(
                what | {"transport": self, "protocol": self._protocol}
            )
            self._end(error)

    # Writing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignored: the protocol is paused whenever something is left to send."""

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent))

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._send(bytes(data), in_bulk=False)  # which copies no bytes object

    def send_on(self, view: bytes | memoryview) -> None:
        """Send what is followed by more, and must not change while the protocol is paused."""
        self._send(view, in_bulk=True)

    def _send(self, data: bytes | memoryview, *, in_bulk: bool) -> None:
        if self._is_closing or self._lost:
            return
        self._hold_back(in_bulk=in_bulk)
        was_idle = not self._unsent
        if data:
            self._unsent.append(memoryview(data))
        if was_idle:
            self._write()

    def _hold_back(self, *, in_bulk: bool) -> None:
        """Let a packet that is not full wait for more to come, or, after the bulk, no longer.

        Each record is a system call. If it were always a packet of its own, too, it would cost
        a sender to one quick receiver half as much again. TCP_CORK of Linux, under which a packet
        waits even if nothing is on its way, makes no difference.
        """
        if in_bulk == self._is_in_bulk:
            return
        self._is_in_bulk = in_bulk
        with contextlib.suppress(OSError):  # the connection is lost, which reading shows
            self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not in_bulk)
            if in_bulk and sys.platform == "linux":  # where `_look` sees what a slow peer takes
                self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

    def _write(self) -> None:
        if self._waits_to_write and self._unsent:
            self.progress()  # also when there is no room for the rest of these bytes yet
        while self._unsent:
            try:
                # Of several records a part may leave now, which no answer to a KeyUpdate may
                # follow: a peer that asks for new keys while it takes no data loses the exchange.
                # No server is known to do so.
                count = self._tls.write(self._unsent[0])
            except _AGAIN:
                break  # the next try must offer the same bytes again
            except OSError as error:
                self._lose(error)
                return
            rest = self._unsent[0][count:]
            if rest:
                self._unsent[0] = rest
            else:
                self._unsent.popleft()
        self._wait_to_write(bool(self._unsent))
        if not self._unsent and self._is_closing:
            self._close_tls()

    def _look(self) -> None:
        """See whether a slow peer takes something long before there is room for more."""
        self._looking = None
        if not self._waits_to_write:
            return
        untaken = untaken_bytes(self._number)
        if untaken < self._untaken:
            self.progress()
        self._untaken = untaken
        self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)

    def _lose(self, error: OSError) -> None:
        if isinstance(error, ssl.SSLEOFError):  # what OpenSSL makes of a broken pipe
            error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        if error.errno not in LOST:
            self._end(error)
            return
        # EARLY-08: the answer is read first, up to the end of the connection.
        self._lost = error
        self._unsent.clear()
        self._waits_to_write = False
        self._loop.remove_writer(self._number)
        if not self._has_paused:
            self._has_paused = True
            self._protocol.pause_writing()

    def _wait_to_write(self, waits: bool) -> None:  # noqa: FBT001
        if waits != self._waits_to_write:
            self._waits_to_write = waits
            if waits:
                self._loop.add_writer(self._number, self._write)
                self._untaken = 0  # unknown
                if self._looking is None:
                    self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)
            else:
                self._loop.remove_writer(self._number)
        if waits != self._has_paused and not self._is_closing:
            self._has_paused = waits
            (self._protocol.pause_writing if waits else self._protocol.resume_writing)()

    # Ending

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Send the rest and a close_notify, then wait for that of the peer."""
        if self._is_closing:
            return
        self.resume_reading()
        self._hold_back(in_bulk=False)  # or the close_notify would wait
        self._is_closing = True
        self._end_within(_END_SECONDS)
        if not self._unsent:
            self._close_tls()

    def _end_within(self, seconds: float) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._end_timer = self._loop.call_later(seconds, self.abort)

    def _close_tls(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._wait_to_write(waits=False)
            self.resume_reading()
            if not self._waits_for_close:
                self._waits_for_close = True
                self._end_within(CLOSE_SECONDS)
        except ssl.SSLWantWriteError:
            self._is_reading = False
            self._loop.remove_reader(self._number)
            self._wait_to_write(waits=True)
        except (OSError, ValueError):  # ValueError: it is done already
            self._end(None)
        else:
            self._end(None)

    def abort(self) -> None:
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        """Close the socket and tell the protocol, which may be in the middle of something."""
        if self._has_ended:
            return
        self._has_ended = self._is_closing = True
        for timer in (self._end_timer, self._looking):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        self._is_reading = False
        self._unsent.clear()
        self._tls.close()
        self._loop.call_soon(self._protocol.connection_lost, error)
