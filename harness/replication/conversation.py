"""One connection of a replication socket, from the upgrade to the close."""

import math
from collections.abc import Callable
from typing import NoReturn

from wsproto.events import BytesMessage, CloseConnection, Ping, Pong
from wsproto.utilities import generate_accept_token

from deploy_relay_kit.harness.faults.answers import End
from deploy_relay_kit.harness.replication import faults
from deploy_relay_kit.harness.replication.faults import Issue, ReplicationFault
from deploy_relay_kit.harness.replication.frames import (
    REQUEST,
    RESPONSE,
    SUBPROTOCOL,
    NotAControlMessage,
    parse,
    response,
    response_before_padding,
)
from deploy_relay_kit.harness.replication.websocket import ProtocolError, WebSocket, frame_head
from deploy_relay_kit.harness.replication.witness import MessageWitness, SocketWitness
from deploy_relay_kit.harness.transport.connection import Connection, ConnectionEnded
from deploy_relay_kit.harness.witness.clock import now
from deploy_relay_kit.harness.witness.connections import Side
from deploy_relay_kit.harness.witness.moments import MomentKind

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
        show_fault: Callable[[], None],
    ) -> None:
        """Talk on `link`; `issue` mints a pair of tokens, `show_fault` notes that it was shown."""
        self._link = link
        self._socket = WebSocket(link)
        self._seen = witness
        self._fault = fault
        self._issue = issue
        self._show_fault = show_fault

    def run(self) -> NoReturn:
        """Upgrade, then serve one request after another until the connection ends."""
        self._upgrade()
        match self._fault:
            case faults.Dropped(at="upgrade", how=how):
                self._show_fault()
                self._drop(how)
            case faults.Unauthorized(when="at once", reason=reason):
                self._show_fault()
                self._close(1008, reason)
            case faults.Subprotocol() | faults.WrongAccept() | faults.RawUpgrade():
                self._show_fault()
        try:
            while True:
                if message := self._receive():
                    self._take(message)
        except ProtocolError as error:
            self._seen.broken = str(error)
            self._close(error.code, str(error))

    def _upgrade(self) -> None:
        """Switch protocols, without extensions (WS-07)."""
        echo = self._fault.echo if isinstance(self._fault, faults.Subprotocol) else SUBPROTOCOL
        stale = isinstance(self._fault, faults.WrongAccept)
        key = "" if stale else self._seen.header("sec-websocket-key") or ""
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        accept = generate_accept_token(key.encode("latin-1")).decode()
        if isinstance(self._fault, faults.RawUpgrade):
            self._seen.answer_status = 101
            self._seen.mark("answer", MomentKind.UPGRADED)
            self._link.write(self._fault.head(accept, SUBPROTOCOL))
            return
        lines.append(f"Sec-WebSocket-Accept: {accept}")
        if echo is not None:
            lines.append(f"Sec-WebSocket-Protocol: {echo}")
        self._seen.answer_status = 101
        self._seen.mark("answer", MomentKind.UPGRADED)
        self._link.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    # -- receiving -------------------------------------------------------------------------------

    def _receive(self) -> MessageWitness | None:
        """Handle the next event; the message, if it is one."""
        match event := self._socket.receive():
            case Ping():
                if self._seen.close_sent is None:
                    self._socket.send(event.response())
                self._seen.saw_ping()
            case Pong() as event:
                self._seen.connection.note(MomentKind.PONG_RECEIVED)
                self._seen.pongs.append(bytes(event.payload))
            case CloseConnection():
                self._closed_by_client(event)
            case BytesMessage():
                message = self._witness("client", bytes(event.data))
                if message.problem is not None:
                    raise ProtocolError(1007, message.problem)
                return message
        return None

    def _witness(self, sender: Side, data: bytes) -> MessageWitness:
        code, body, problem = None, None, None
        try:
            code, body = parse(data)
        except NotAControlMessage as error:
            problem = str(error)
        message = MessageWitness(sender, len(data), code, body, problem)
        self._seen.saw(message)
        return message

    # -- answering -------------------------------------------------------------------------------

    def _take(self, message: MessageWitness) -> None:
        """Answer a message if it asks for an operation and the client is allowed in."""
        if isinstance(self._fault, faults.Unauthorized):
            self._show_fault()
            self._close(1008, self._fault.reason)
        if self._seen.let_in_by is None:
            self._close(1008, "Unauthorized")
        if message.code != REQUEST:
            return
        if type(message.request_id) is not int:
            raise ProtocolError(1007, "a request without a map with its requestId (WS-10)")
        self._answer(message.request_id, message.body.get("operation"))

    def _answer(self, request_id: int, operation: object) -> None:
        self._show_fault()
        match self._fault:
            case faults.Dropped(at="request", how=how):
                self._drop(how)
            case faults.NoAnswer():
                self._seen.connection.note(MomentKind.NOT_ANSWERED)
                return
            case faults.Repeated(frames):
                self._repeat(frames)
                return
            case faults.LateAnswer() as late:
                self._wait(late)
        if operation == "create_authentication_tokens":
            self._answer_mint(request_id)
        else:
            error = f"ClientError: Operation '{operation}' not found"
            self._send(response(request_id, {"error": error}))

    def _answer_mint(self, request_id: int) -> None:
        match self._fault:
            case faults.HugeAnswer(padding):
                start = response_before_padding(request_id, self._issue(), padding)
                self._send_huge(start, padding)
            case faults.RawFrames(frames):
                tokens = self._issue()
                self._link.write(frames(request_id, tokens))
                self._witness("peer", response(request_id, tokens))
            case faults.Fragments(size):
                self._send(response(request_id, self._issue()), size)
            case faults.PingFirst(data):
                self._socket.send(Ping(data))
                self._seen.connection.note(MomentKind.PING_SENT)
                self._send(response(request_id, self._issue()))
            case faults.Dropped(at="answer", how=how):
                message = response(request_id, self._issue())
                self._link.write(frame_head(len(message)) + message[: len(message) // 2])
                self._drop(how)
            case faults.AnswerFault() as fault:
                for message in fault.messages(request_id, self._issue):
                    self._send(message)
            case _:
                self._send(response(request_id, self._issue()))

    def _send(self, message: bytes, size: int | None = None) -> None:
        """Send a message, in frames of `size` bytes if that is given."""
        size = size or len(message) or 1
        for start in range(0, len(message) or 1, size):
            end = start + size
            is_last = end >= len(message)
            self._socket.send(BytesMessage(message[start:end], message_finished=is_last))
        self._witness("peer", message)

    def _send_huge(self, start: bytes, padding: int) -> None:
        """Send one frame block by block, until the client sends something."""
        size = len(start) + padding
        self._seen.connection.note(MomentKind.FRAME_BEGUN, size=size)
        self._link.write(frame_head(size) + start)
        left = padding
        while left and not self._socket.wait_for_input(0):
            block = memoryview(_BLOCK)[:left]
            self._link.write(block)
            left -= len(block)
        code, problem = (None, "cut short") if left else (RESPONSE, None)
        self._seen.saw(MessageWitness("peer", size - left, code, None, problem))

    def _repeat(self, frames: bytes) -> None:
        """Send the frames until the client has ended the connection, or time is over."""
        self._seen.connection.note(MomentKind.NOT_ANSWERED)
        until = now() + 20
        while now() < until:
            self._link.write(frames)
            if self._socket.wait_for_input(0.05):
                self._receive()

    def _wait(self, late: faults.LateAnswer) -> None:
        """Wait until the answer is due, or drop a silent client."""
        begun = heard = now()
        pings = len(self._seen.pings) + late.after_pings
        while True:
            is_pinged = len(self._seen.pings) >= pings
            due = begun + late.after_seconds if is_pinged else math.inf
            until = min(due, heard + late.silence_limit)
            has_input = self._socket.wait_for_input(until - now())
            if now() >= due:
                return
            if not has_input:
                self._seen.connection.note(MomentKind.CLIENT_SILENT, seconds=late.silence_limit)
                self._drop(End.CLOSE)
            self._receive()
            heard = now()

    # -- ending ----------------------------------------------------------------------------------

    def _closed_by_client(self, close: CloseConnection) -> NoReturn:
        self._seen.saw_close("client", int(close.code), close.reason or "")
        if self._seen.close_sent is None:
            self._socket.send(CloseConnection(close.code))
            self._seen.saw_close("peer", int(close.code), "")
        self._link.close()
        raise ConnectionEnded("closed")

    def _close(self, code: int, reason: str) -> NoReturn:
        """Send a close frame, then receive until the client's close frame, or for some seconds."""
        self._socket.send(CloseConnection(code, reason))
        self._seen.saw_close("peer", code, reason)
        deadline = now() + _CLOSE_GRACE
        while self._socket.wait_for_input(deadline - now()):
            try:
                self._receive()
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
