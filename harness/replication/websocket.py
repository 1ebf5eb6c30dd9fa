"""The server's side of a WebSocket (RFC 6455): wsproto on a connection of the fake peer."""

from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage

from deploy_relay_kit.harness.transport.connection import Connection, ConnectionEnded

_MESSAGE_LIMIT = 64 * 1024  # an operation without its payload; Harper accepts 10 GiB (WS-07)
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA  # opcodes
_FINAL = 0x80
_SHORT, _LONG = 126, 127  # announce a length of 2 bytes, of 8 bytes


class ProtocolError(Exception):
    """The client broke the protocol; a server closes with `code`."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class WebSocket:
    """A connection after its upgrade, without extensions (WS-07)."""

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._protocol = Protocol(ConnectionType.SERVER)
        self._next: Event | None = None
        self._begun = b""  # the fragments of an incomplete message
        self._broken = False
        self._block = memoryview(bytearray(16 * 1024))

    def send(self, event: Event) -> None:
        self._link.write(self._protocol.send(event))

    def wait_for_input(self, seconds: float) -> bool:
        """Wait for something to receive; False when nothing arrives in time."""
        return self._decode() or self._link.wait_for_input(seconds)

    def receive(self) -> Event | None:
        """The next ping, pong, message or close frame; None if it is still incomplete.

        Raises:
            ProtocolError: the client broke the protocol. The rest of its bytes are discarded.
            ConnectionEnded: the client ended the connection without a close frame.
        """
        if not self._decode():
            count = self._link.read_into(self._block)
            if count == 0:
                raise ConnectionEnded("the client ended the connection without a close frame")
            if not self._broken:
                self._protocol.receive_data(bytes(self._block[:count]))
                self._decode()
        event, self._next = self._next, None
        match event:
            case CloseConnection() if self._broken:
                raise ProtocolError(event.code, event.reason or "")
            case TextMessage():
                raise ProtocolError(1003, "a text message; every message is binary (WS-08)")
            case BytesMessage():
                return self._join(event)
        return event

    def _decode(self) -> bool:
        """Decode the next event, if enough bytes have arrived."""
        if self._next is None and not self._broken:
            state = self._protocol.state
            self._next = next(self._protocol.events(), None)
            # wsproto gives a broken rule as a close frame that does not change its state.
            is_close = isinstance(self._next, CloseConnection)
            self._broken = is_close and self._protocol.state is state
        return self._next is not None

    def _join(self, fragment: BytesMessage) -> BytesMessage | None:
        message = self._begun + fragment.data
        if len(message) > _MESSAGE_LIMIT:
            self._broken = True
            raise ProtocolError(1009, f"a message of more than {_MESSAGE_LIMIT} bytes")
        self._begun = b"" if fragment.message_finished else message
        return BytesMessage(message) if fragment.message_finished else None


def frame_head(length: int, kind: int = BINARY, *, final: bool = True) -> bytes:
    """The head of a frame of a server with a payload of `length` bytes (section 5.2)."""
    first = bytes([kind | (_FINAL if final else 0)])
    if length < _SHORT:
        return first + bytes([length])
    if length < 1 << 16:
        return first + bytes([_SHORT]) + length.to_bytes(2)
    return first + bytes([_LONG]) + length.to_bytes(8)


def frame(data: bytes, kind: int = BINARY, *, final: bool = True) -> bytes:
    """A frame of a server; `kind` is its opcode, 0 for a continuation."""
    return frame_head(len(data), kind, final=final) + data
