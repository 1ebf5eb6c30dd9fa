"""What a replication socket does on one connection, from the upgrade to the close, witnessed."""

from __future__ import annotations

import time
from typing import Any, NoReturn

from harness.faults.answers import End
from harness.replication import faults
from harness.replication.faults import Issue, ReplicationFault
from harness.replication.frames import (
    REQUEST,
    RESPONSE,
    SUBPROTOCOL,
    NotAControlMessage,
    parse,
    response,
)
from harness.replication.websocket import (
    Opcode,
    ProtocolError,
    accept_key,
    close_payload,
    encode,
    fragments,
    frame_head,
    parse_close,
    read_frame,
)
from harness.replication.witness import MessageWitness, SocketWitness
from harness.transport.connection import Connection, ConnectionEnded
from harness.witness.connections import Side
from harness.witness.moments import MomentKind

_MESSAGE_LIMIT = 64 * 1024  # an operation without its payload; Harper takes 10 GiB (WS-07)
_CLOSE_GRACE = 2.0  # seconds for the client to answer a close frame
_BLOCK = bytes(64 * 1024)


class SocketConversation:
    """Answers the operations of one client; every method may raise `ConnectionEnded`."""

    def __init__(
        self,
        link: Connection,
        witness: SocketWitness,
        fault: ReplicationFault | None,
        issue: Issue,
    ) -> None:
        """Talk on `link`; `issue` mints a pair of tokens."""
        self._link = link
        self._seen = witness
        self._fault = fault
        self._issue = issue
        self._begun: bytes | None = None  # the message whose fragments are coming
        self._in_step = True  # whether the next byte begins a frame

    def hold(self) -> NoReturn:
        """Upgrade, and serve one request after another until the connection has ended."""
        self._upgrade()
        match self._fault:
            case faults.Dropped(at="upgrade", how=how):
                self._drop(how)
            case faults.Unauthorized(when="at once", reason=reason):
                self._close(1008, reason)
        try:
            while True:
                message = self._receive()
                if message is not None:
                    self._take(*self._saw_message(message))
        except ProtocolError as error:
            self._seen.broken = str(error)
            self._close(error.code, str(error))

    def _upgrade(self) -> None:
        """Switch protocols; no extension is ever agreed upon (WS-07)."""
        echo = self._fault.echo if isinstance(self._fault, faults.Subprotocol) else SUBPROTOCOL
        stale = isinstance(self._fault, faults.WrongAccept)
        key = "" if stale else self._seen.header("sec-websocket-key") or ""
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines.append(f"Sec-WebSocket-Accept: {accept_key(key)}")
        if echo is not None:
            lines.append(f"Sec-WebSocket-Protocol: {echo}")
        self._seen.answer_status = 101
        self._seen.mark("answer", MomentKind.UPGRADED)
        self._link.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    # -- receiving -------------------------------------------------------------------------------

    def _read(self, size: int) -> bytes:
        data = self._link.read(size)
        if len(data) < size:
            raise ConnectionEnded("the client ended the connection without a close frame")
        return data

    def _receive(self) -> bytes | None:
        """Take in one frame; the message that it completes, None when it does not complete one."""
        try:
            frame = read_frame(self._read, _MESSAGE_LIMIT - len(self._begun or b""))
        except ProtocolError:
            self._in_step = False
            raise
        match frame.opcode:
            case Opcode.PING:
                self._link.write(encode(Opcode.PONG, frame.payload))
                self._seen.saw_ping()
            case Opcode.PONG:
                self._seen.connection.note(MomentKind.PONG_RECEIVED)
            case Opcode.CLOSE:
                self._closed_by_client(*parse_close(frame.payload))
            case Opcode.TEXT:
                raise ProtocolError(1003, "a text message, where all are binary (WS-08)")
            case Opcode.BINARY | Opcode.CONTINUATION:
                if (frame.opcode is Opcode.BINARY) != (self._begun is None):
                    raise ProtocolError(1002, "the fragments of a message are out of order")
                message = (self._begun or b"") + frame.payload
                self._begun = None if frame.final else message
                return message if frame.final else None
        return None

    def _saw_message(self, message: bytes) -> tuple[int, Any]:
        """Witness a message of the client; its code and what stood behind it."""
        try:
            code, body = parse(message)
        except NotAControlMessage as error:
            self._witness("client", len(message), None, None, str(error))
            raise ProtocolError(1007, str(error)) from None
        self._witness("client", len(message), code, body)
        return code, body

    def _witness(
        self, sender: Side, size: int, code: int | None, body: Any, problem: str | None = None
    ) -> None:
        self._seen.saw(MessageWitness(time.monotonic(), sender, size, code, body, problem))

    # -- answering -------------------------------------------------------------------------------

    def _take(self, code: int, body: Any) -> None:
        """Answer a message if it asks for an operation, and the client may."""
        if isinstance(self._fault, faults.Unauthorized):
            self._close(1008, self._fault.reason)
        if self._seen.let_in_by is None:
            self._close(1008, "Unauthorized")
        if code != REQUEST:
            return
        if not isinstance(body, dict) or type(body.get("requestId")) is not int:
            raise ProtocolError(1007, "a request without a map that holds its requestId (WS-10)")
        self._answer(body)

    def _answer(self, body: dict[str, Any]) -> None:
        request_id, operation = body["requestId"], body.get("operation")
        match self._fault:
            case faults.Dropped(at="request", how=how):
                self._drop(how)
            case faults.NoAnswer():
                self._seen.connection.note(MomentKind.NOT_ANSWERED)
                return
            case faults.LateAnswer() as late:
                self._work_long(late)
        if operation != "create_authentication_tokens":
            error = f"ClientError: Operation '{operation}' not found"
            self._send(response(request_id, {"error": error}))
            return
        self._answer_mint(request_id)

    def _answer_mint(self, request_id: int) -> None:
        match self._fault:
            case faults.HugeAnswer() as huge:
                self._send_huge(huge.before_padding(request_id, self._issue), huge.padding)
            case faults.Fragments(size):
                self._send(response(request_id, self._issue()), size)
            case faults.PingFirst(data):
                self._link.write(encode(Opcode.PING, data))
                self._seen.connection.note(MomentKind.PING_SENT)
                self._send(response(request_id, self._issue()))
            case faults.Dropped(at="answer", how=how):
                whole = encode(Opcode.BINARY, response(request_id, self._issue()))
                self._link.write(whole[: len(whole) // 2])
                self._drop(how)
            case faults.AnswerFault() as fault:
                for message in fault.messages(request_id, self._issue):
                    self._send(message)
            case _:
                self._send(response(request_id, self._issue()))

    def _send(self, message: bytes, size: int | None = None) -> None:
        """Send a message, in frames of `size` bytes if that is given."""
        for frame in fragments(message, size or len(message) or 1):
            self._link.write(frame)
        try:
            self._witness("peer", len(message), *parse(message))
        except NotAControlMessage as error:
            self._witness("peer", len(message), None, None, str(error))

    def _send_huge(self, start: bytes, padding: int) -> None:
        """Send one frame block by block; a client that speaks meanwhile has had enough."""
        size = len(start) + padding
        self._seen.connection.note(MomentKind.FRAME_BEGUN, size=size)
        self._link.write(frame_head(Opcode.BINARY, size) + start)
        left = padding
        while left and not self._link.wait_for_input(0):
            block = memoryview(_BLOCK)[:left]
            self._link.write(block)
            left -= len(block)
        code, problem = (None, "cut short") if left else (RESPONSE, None)
        self._witness("peer", size - left, code, None, problem)

    def _work_long(self, late: faults.LateAnswer) -> None:
        begun = heard = time.monotonic()
        pings = len(self._seen.pings)
        while True:
            now = time.monotonic()
            enough_pings = len(self._seen.pings) - pings >= late.after_pings
            if enough_pings and now >= begun + late.after_seconds:
                return
            if now >= heard + late.silence_limit:
                self._seen.connection.note(MomentKind.CLIENT_SILENT, seconds=late.silence_limit)
                self._drop(End.CLOSE)
            until = heard + late.silence_limit
            if enough_pings:
                until = min(until, begun + late.after_seconds)
            if self._link.wait_for_input(until - now):
                message = self._receive()
                heard = time.monotonic()
                if message is not None:
                    self._saw_message(message)

    # -- ending ----------------------------------------------------------------------------------

    def _closed_by_client(self, code: int, reason: str) -> NoReturn:
        self._seen.saw_close("client", code, reason)
        if self._seen.close_sent is None:
            self._link.write(encode(Opcode.CLOSE, close_payload(code)))
            self._seen.saw_close("peer", code, "")
        self._link.close()
        raise ConnectionEnded("closed")

    def _close(self, code: int, reason: str) -> NoReturn:
        """Send a close frame, take in what the client had on its way, and its close frame."""
        payload = close_payload(code, reason)
        self._link.write(encode(Opcode.CLOSE, payload))
        self._seen.saw_close("peer", *parse_close(payload))
        deadline = time.monotonic() + _CLOSE_GRACE
        block = memoryview(bytearray(16 * 1024))
        while self._link.wait_for_input(deadline - time.monotonic()):
            try:
                if self._in_step:
                    message = self._receive()
                    if message is not None:
                        self._saw_message(message)
                elif not self._link.read_into(block):  # unread bytes would make a reset of the end
                    break
            except ProtocolError as error:
                self._seen.connection.note(MomentKind.AFTER_CLOSE, problem=error)
        self._link.close()
        raise ConnectionEnded("closed without a close frame of the client")

    def _drop(self, how: End) -> NoReturn:
        if how is End.RESET:
            self._link.reset()
        else:
            self._link.close()
        raise ConnectionEnded("dropped")
