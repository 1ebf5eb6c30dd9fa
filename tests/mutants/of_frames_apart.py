"""Mutants that take another message of a socket for the answer, or end it badly after an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from deploy_relay_kit.harness.replication.faults import ErrorAnswer
from deploy_relay_kit.relay import replication
from deploy_relay_kit.relay.errors import PeerError
from tests.conformance import test_sockets_ends, test_sockets_grammar
from tests.mutants.mutant import case, mutant


def change_reading(patch: pytest.MonkeyPatch, is_other: Callable[[Any], bool]) -> None:
    """Ignore the messages that are so, as if they were no answer."""
    read = replication.operation_response

    def changed(frame: Any) -> Any:
        try:
            message = msgpack.unpackb(frame, strict_map_key=False, ext_hook=msgpack.ExtType)
        except ValueError:
            return read(frame)
        is_map = isinstance(message, list) and len(message) > 1 and isinstance(message[1], dict)
        return None if is_map and is_other(message) else read(frame)

    patch.setattr(replication, "operation_response", changed)


@mutant(
    "WS-09", killed_by=case(test_sockets_grammar.test_an_answer_is_read_in_every_form_of_msgpack)
)
def a_request_id_of_double_precision_is_another(patch: pytest.MonkeyPatch) -> None:
    change_reading(patch, lambda it: isinstance(it[1].get("requestId"), float))


@mutant(
    "WS-15", killed_by=case(test_sockets_grammar.test_an_answer_is_read_in_every_form_of_frames)
)
def a_request_of_the_peer_is_the_answer(patch: pytest.MonkeyPatch) -> None:
    read = replication.operation_response

    def lenient(frame: Any) -> Any:
        if isinstance(frame, bytes) and frame[:3] == b"\x92\xcc\x88":
            frame = b"\x92\xcc\x89" + frame[3:]
        return read(frame)

    patch.setattr(replication, "operation_response", lenient)


@mutant(
    "WS-14",
    killed_by=case(
        test_sockets_ends.test_a_socket_is_closed_with_a_close_frame,
        answer=ErrorAnswer(),
    ),
)
def a_socket_ends_without_a_close_frame_after_an_error(patch: pytest.MonkeyPatch) -> None:
    answer = replication._answer

    async def rude(socket: Any, pause: float) -> Any:
        try:
            return await answer(socket, pause)
        except PeerError:
            if not socket.closed:
                socket._response.connection.transport.abort()
            raise

    patch.setattr(replication, "_answer", rude)


@mutant("WS-19", killed_by=case(test_sockets_grammar.test_a_pong_has_the_data_of_its_ping))
def only_the_first_ping_is_answered(patch: pytest.MonkeyPatch) -> None:
    pong = aiohttp.ClientWebSocketResponse.pong
    answered = WeakSet[Any]()

    async def once(self: Any, message: bytes = b"") -> None:
        if self not in answered:
            answered.add(self)
            await pong(self, message)

    patch.setattr(aiohttp.ClientWebSocketResponse, "pong", once)
