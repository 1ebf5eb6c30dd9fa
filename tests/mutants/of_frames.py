"""Mutants of the readers of msgpack and of WebSocket frames: one production each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from aiohttp._websocket.models import WS_CLOSED_MESSAGE
from aiohttp._websocket.reader_py import WebSocketDataQueue, WebSocketReader
from aiohttp._websocket.writer import WebSocketWriter

from deploy_relay_kit.relay import peer, replication
from deploy_relay_kit.relay.errors import PeerError
from tests.conformance import test_sockets_ends as ends
from tests.conformance import test_sockets_grammar as sockets
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_answers import change_limits

# -- msgpack -------------------------------------------------------------------------------------

WIDTHS = case(sockets.test_an_answer_is_read_in_every_form_of_msgpack)
FRAMES = case(sockets.test_an_answer_is_read_in_every_form_of_frames)
PONGS = case(sockets.test_a_pong_has_the_data_of_its_ping)
HEADS = case(sockets.test_an_upgrade_is_read_in_every_form_of_its_head)
CLOSED = case(ends.test_a_socket_is_closed_with_a_close_frame)
RETRIED = ends.test_a_close_before_the_answer_is_retried_unless_it_refuses_the_relay


def unread(patch: pytest.MonkeyPatch, pattern: bytes) -> None:
    """Fail at an answer with these bytes."""
    read = replication.operation_response
    found = re.compile(pattern, re.DOTALL)

    def limited(frame: Any) -> Any:
        if isinstance(frame, bytes) and found.search(frame):
            raise PeerError("mint", "no msgpack")
        return read(frame)

    patch.setattr(replication, "operation_response", limited)


REQUEST_ID = b"requestId"
MORE = b"more"
alike(
    unread,
    "WS-09",
    killed_by=WIDTHS,
    texts_of_16_bits_are_not_read=b"\xda\x00.[a-z]",
    texts_of_32_bits_are_not_read=b"\xdb\x00",
    texts_of_8_bits_are_not_read=b"\xd9.request",
    maps_of_32_bits_are_not_read=b"\xdf\x00\x00",
    lists_of_16_bits_are_not_read=b"^\xdc",
    lists_of_32_bits_are_not_read=b"^\xdd",
    numbers_of_16_bits_are_not_read=REQUEST_ID + b"\xcd",
    numbers_of_32_bits_are_not_read=REQUEST_ID + b"\xce",
    numbers_of_64_bits_are_not_read=REQUEST_ID + b"\xcf",
    signed_numbers_of_8_bits_are_not_read=REQUEST_ID + b"\xd0",
    signed_numbers_of_64_bits_are_not_read=REQUEST_ID + b"\xd3",
    negative_numbers_are_not_read=MORE + b"[\xe0-\xff]",
    numbers_of_single_precision_are_not_read=MORE + b"\xca",
    numbers_of_double_precision_are_not_read=MORE + b"\xcb",
    bytes_are_not_read=MORE + b"[\xc4-\xc6]",
    nothing_is_not_read=MORE + b"\xc0",
    undefined_is_not_read=MORE + b"\xd4\x00",
    timestamps_of_32_bits_are_not_read=MORE + b"\xd6\xff",
    timestamps_of_64_bits_are_not_read=MORE + b"\xd7\xff",
    timestamps_of_96_bits_are_not_read=MORE + b"\xc7\x0c\xff",
    timestamps_after_the_year_9999_are_not_read=MORE + b"\xc7\x0c\xff\0{7}\x3a",
    nested_values_are_not_read=MORE + b"[\x81-\x8f\xde].*[\x91-\x9f\xdc]",
    names_that_are_numbers_are_not_read=MORE + b"\x81\x01",
    codes_with_a_sign_are_not_read=b"^\x92[\xd1-\xd3]",
    codes_of_single_precision_are_not_read=b"^\x92\xca",
    the_id_of_a_request_stands_last=REQUEST_ID + b"..",
)


# -- messages and frames -------------------------------------------------------------------------


def change_message(patch: pytest.MonkeyPatch, change: Callable[[aiohttp.WSMessage], Any]) -> None:
    """Change each message that the relay receives, or raise for it."""
    receive = aiohttp.ClientWebSocketResponse.receive

    async def changed(self: Any, *at: Any) -> Any:
        return change(await receive(self, *at))

    patch.setattr(aiohttp.ClientWebSocketResponse, "receive", changed)


def ended_if(is_end: Callable[[aiohttp.WSMessage], bool]) -> Callable[[aiohttp.WSMessage], Any]:
    return lambda message: WS_CLOSED_MESSAGE if is_end(message) else message


KINDS = aiohttp.WSMsgType
alike(
    change_message,
    *("WS-11", "WS-15"),
    killed_by=FRAMES,
    a_pong_is_the_end=ended_if(lambda it: it.type is KINDS.PONG),
    a_text_is_the_end=ended_if(lambda it: it.type is KINDS.TEXT),
    an_empty_message_is_the_end=ended_if(lambda it: it.type is KINDS.BINARY and not it.data),
    a_ping_without_data_is_the_end=ended_if(lambda it: it.type is KINDS.PING and not it.data),
    a_message_has_64_kib=ended_if(lambda it: it.type is KINDS.BINARY and len(it.data) > 65_536),
)


def answered_by(patch: pytest.MonkeyPatch, is_answer: Callable[[Any], bool]) -> None:
    """Take other messages for the answer, too."""
    read = replication.operation_response

    def lax(frame: Any) -> Any:
        try:
            message = msgpack.unpackb(frame, strict_map_key=False)
            if is_answer(message):
                found = message if isinstance(message, dict) else [*message, None][1]
                return found if isinstance(found, dict) else {}
        except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException):
            pass
        return read(frame)

    patch.setattr(replication, "operation_response", lax)


alike(
    answered_by,
    *("WS-15", "WS-17"),
    killed_by=FRAMES,
    every_map_is_an_answer=lambda it: isinstance(it, dict),
    a_code_alone_is_an_answer=lambda it: it == [137],
    every_code_with_the_id_is_an_answer=lambda it: it[1].get("requestId") == 1,
    the_next_id_is_an_answer=lambda it: it[1].get("requestId") == 2,
    an_id_of_none_is_an_answer=lambda it: it[0] == 137 and it[1].get("requestId") is None,
    an_id_has_eight_bits=lambda it: it[0] == 137 and it[1]["requestId"] & 255 == 1,
    an_id_has_no_sign=lambda it: it[0] == 137 and abs(it[1]["requestId"]) == 1,
    an_id_of_0_is_an_answer=lambda it: it[0] == 137 and it[1]["requestId"] in (0, 1),
)


def change_reader(patch: pytest.MonkeyPatch, reader: type[WebSocketReader]) -> None:
    change_limits(patch, lambda limits: replace(limits, mint=4.0))  # they wait in vain
    patch.setattr(aiohttp.client, "WebSocketReader", reader)
    # The queue in C takes no reader in Python.
    patch.setattr(aiohttp.client, "WebSocketDataQueue", WebSocketDataQueue)


class _Interrupted(WebSocketReader):
    """Forgets the beginning of a message at a control frame."""

    def _handle_frame(self, fin: Any, opcode: int, payload: Any, *rest: Any) -> None:
        if opcode >= KINDS.CLOSE and self._partial:
            self._partial = bytearray()
        super()._handle_frame(fin, opcode, payload, *rest)


class _Stops(WebSocketReader):
    """Takes an empty frame for the end of a message."""

    def _handle_frame(self, fin: Any, opcode: int, payload: Any, *rest: Any) -> None:
        is_end = fin or (opcode == 0 and not payload)
        super()._handle_frame(is_end, opcode, payload, *rest)


@mutant("WS-11", "WS-15", killed_by=FRAMES)
def a_control_frame_ends_a_message(patch: pytest.MonkeyPatch) -> None:
    change_reader(patch, _Interrupted)


@mutant("WS-11", "WS-15", killed_by=FRAMES)
def an_empty_frame_ends_a_message(patch: pytest.MonkeyPatch) -> None:
    change_reader(patch, _Stops)


def change_pong(patch: pytest.MonkeyPatch, change: Callable[[bytes], bytes | None]) -> None:
    pong = aiohttp.ClientWebSocketResponse.pong

    async def changed(self: Any, data: bytes = b"") -> None:
        if (answered := change(bytes(data))) is not None:
            await pong(self, answered)

    patch.setattr(aiohttp.ClientWebSocketResponse, "pong", changed)


alike(
    change_pong,
    "WS-19",
    killed_by=PONGS,
    a_pong_is_empty=lambda _: b"",
    a_pong_is_text=lambda data: data.decode(errors="replace").encode()[:125],
    a_pong_is_short=lambda data: data[:64],
    an_empty_ping_is_not_answered=lambda data: data or None,
)


# -- the upgrade and the end ---------------------------------------------------------------------


def change_upgrade(patch: pytest.MonkeyPatch, is_accepted: Callable[[Any], bool]) -> None:
    """Refuse some heads of an upgrade."""
    connect = aiohttp.ClientSession._ws_connect

    async def strict(self: Any, *at: Any, **how: Any) -> Any:
        socket = await connect(self, *at, **how)
        if not is_accepted(socket._response):
            await socket.close()
            raise PeerError("connect", "no upgrade")
        return socket

    patch.setattr(aiohttp.ClientSession, "_ws_connect", strict)


def _named(response: Any) -> bool:
    return any(name == b"Upgrade" for name, _ in response.raw_headers)


alike(
    change_upgrade,
    "WS-16",
    killed_by=HEADS,
    an_upgrade_needs_its_words=lambda it: it.reason == "Switching Protocols",
    names_of_an_upgrade_have_capitals=_named,
    the_value_of_an_upgrade_is_in_lower_case=lambda it: it.headers["Upgrade"] == "websocket",
    an_upgrade_has_no_other_headers=lambda it: "Server" not in it.headers,
    an_upgrade_begins_with_upgrade=lambda it: it.raw_headers[0][0][:3].lower() != b"sec",
)


@mutant("WS-14", killed_by=CLOSED)
def a_socket_is_closed_without_a_frame(patch: pytest.MonkeyPatch) -> None:
    async def close(self: WebSocketWriter, *_: Any) -> None:
        self._closing = True
        self.transport.close()

    patch.setattr(WebSocketWriter, "close", close)


def change_close(patch: pytest.MonkeyPatch, code: int) -> None:
    close = WebSocketWriter.close
    patch.setattr(WebSocketWriter, "close", lambda self, *_: close(self, code))


alike(
    change_close,
    "WS-14",
    killed_by=CLOSED,
    a_socket_is_closed_as_going_away=1001,
    a_socket_is_closed_with_an_error=1011,
    a_socket_is_closed_with_a_code_of_its_own=4000,
)


def change_retry(patch: pytest.MonkeyPatch, change: Callable[[int | None, bool], bool]) -> None:
    """Decide in another way whether a closed socket is tried again."""
    answered = replication._answer

    async def changed(socket: Any, pause: float) -> Any:
        try:
            return await answered(socket, pause)
        except PeerError as error:
            error.retryable = change(socket.close_code, error.retryable)
            raise

    patch.setattr(replication, "_answer", changed)


@mutant("RTY-02", killed_by=(case(RETRIED, code=1001), case(RETRIED, code=1011)))
def a_close_with_a_code_is_final(patch: pytest.MonkeyPatch) -> None:
    change_retry(patch, lambda code, again: again and code in (None, 0, 1005, 1006))


@mutant("RTY-04", killed_by=case(RETRIED, code=1008))
def a_refusal_of_a_socket_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    change_retry(patch, lambda code, again: again or code == 1008)


@mutant(
    "SEQ-06",
    killed_by=case(ends.test_a_close_before_the_answer_is_a_failed_mint_whatever_its_code_is),
)
def a_reason_of_a_close_is_the_whole_reason(patch: pytest.MonkeyPatch) -> None:

    failure = peer.mint_failure

    def bare(reason: str, cause: Exception | None = None) -> PeerError:
        failed = failure(reason, cause)
        if "1013" in reason:
            failed.reason = reason
        return failed

    patch.setattr(peer, "mint_failure", bare)
