"""Mutants of minting over the replication socket."""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from aiohttp._websocket.models import WS_CLOSED_MESSAGE
from aiohttp._websocket.reader_py import WebSocketDataQueue, WebSocketReader

from deploy_relay_kit.harness.replication.faults import (
    Fragments,
    OthersFirst,
    PingFirst,
    UnknownRequestId,
    WrongAccept,
)
from deploy_relay_kit.relay import peer, replication, urls
from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.peer import Peer, mint_failure
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.urls import resolve_replication
from tests.conformance import test_memory, test_replication, test_sockets, test_sockets_trust
from tests.mutants.mutant import case, mutant
from tests.mutants.of_answers import change_limits
from tests.mutants.of_urls import nothing_happens, without_verification

ONE_REQUEST = case(test_replication.test_a_mint_is_one_request_and_one_answer)
UNUSUAL = test_replication.test_an_unusual_right_answer_is_read
ENDED = test_sockets.test_a_socket_that_does_not_open_or_ends_early_fails_the_mint


def shorten_the_limit_of_a_mint(patch: pytest.MonkeyPatch) -> None:
    """Shorten the limit of a mint, for mutants that wait in vain."""
    change_limits(patch, lambda limits: replace(limits, mint=0.3))


def change_request(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    fake = SimpleNamespace(**{**vars(msgpack), "packb": lambda r: msgpack.packb(change(r))})
    patch.setattr(replication, "msgpack", fake)


def change_answer(patch: pytest.MonkeyPatch, change: Callable[[Any], Any]) -> None:
    """Replace the reader of frames."""
    patch.setattr(replication, "operation_response", change)


def any_answer(frame: Any, code: int | None, number: int | None) -> Any:
    """The members of an answer with this code and request id; None matches any."""
    if not isinstance(frame, bytes) or frame[:1] < b"\x80":
        return None
    message = msgpack.unpackb(frame, strict_map_key=False)
    if code not in (None, message[0]) or number not in (None, message[1].get("requestId")):
        return None
    return message[1]


@mutant(
    "WS-01",
    killed_by=(
        case(test_replication.test_a_replication_url_without_a_path_means_the_root),
        case(
            test_replication.test_without_a_url_the_socket_is_at_the_replication_port_of_the_origin
        ),
    ),
)
def the_socket_has_another_path(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        peer,
        "resolve_replication",
        lambda *at, **how: replace(resolve_replication(*at, **how), target="/replication"),
    )


@mutant("WS-02", killed_by=case(test_replication.test_the_port_in_a_name_is_the_port_of_the_socket))
def two_characters_of_the_port_are_removed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(urls, "_bare_name", lambda name: name[:-2] if ":" in name else name)


@mutant("WS-03", killed_by=case(test_replication.test_the_handshake_requests_the_subprotocol))
def another_subprotocol_is_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replication, "SUBPROTOCOL", "harperdb-replication-v2")


@mutant("WS-16", killed_by=case(ENDED, fault=WrongAccept()))
def the_accept_header_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    class Anything(str):
        __slots__ = ()
        __ne__ = lambda *_: False  # noqa: E731
        __hash__ = str.__hash__

    class Encoded(bytes):
        def decode(self, *how: Any) -> str:
            return Anything(super().decode(*how))

    lax = SimpleNamespace(b64encode=lambda data: Encoded(base64.b64encode(data)))
    patch.setattr(aiohttp.client, "base64", lax)


@mutant(
    "WS-05",
    killed_by=case(
        test_sockets.test_a_socket_closed_with_1008_fails_the_mint_with_the_reason_of_the_close
    ),
)
@mutant(
    "WS-12",
    killed_by=case(test_sockets.test_an_error_in_the_answer_fails_the_mint_with_its_text),
)
def the_reason_of_a_close_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peer, "mint_failure", lambda _, cause=None: mint_failure("failed", cause))


@mutant(
    *("RES-05", "SEQ-06"),  # RES-05: the record has the status of an upload without a token
    killed_by=(
        case(ENDED),
        case(test_sockets.test_a_socket_that_does_not_exist_fails_the_mint),
    ),
)
@mutant(
    "MINT-03",
    killed_by=case(test_sockets.test_an_answer_of_a_socket_without_a_token_fails_the_mint),
)
@mutant(
    "BUG-35",
    killed_by=case(
        test_sockets.test_a_token_of_a_socket_that_cannot_stand_in_a_header_fails_the_mint
    ),
)
def an_upload_is_tried_without_a_token(patch: pytest.MonkeyPatch) -> None:
    mint = ReplicationMint.mint

    async def hopeful(self: ReplicationMint, *at: Any) -> str:
        try:
            return await mint(self, *at)
        except AttemptError:
            return "none"

    patch.setattr(ReplicationMint, "mint", hopeful)


@mutant(
    "TLS-01",
    killed_by=case(test_sockets_trust.test_a_flawed_certificate_of_a_socket_is_refused),
)
@mutant(
    "KIT-03",
    killed_by=case(test_sockets_trust.test_a_socket_accepts_the_relay_by_its_certificate),
)
def the_socket_is_not_verified(patch: pytest.MonkeyPatch) -> None:
    connect = Peer.replication_socket
    patch.setattr(
        Peer, "replication_socket", lambda self, *at: connect(without_verification(self), *at)
    )


@mutant("WS-08", killed_by=ONE_REQUEST)
def the_request_is_a_map(patch: pytest.MonkeyPatch) -> None:
    change_request(patch, lambda request: {"code": request[0], **request[1]})
    shorten_the_limit_of_a_mint(patch)


@mutant("WS-10", killed_by=ONE_REQUEST)
def requests_are_counted_from_seven(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replication, "_REQUEST_ID", 7)


@mutant("WS-11", killed_by=ONE_REQUEST)
def the_answer_has_another_code(patch: pytest.MonkeyPatch) -> None:
    change_answer(patch, lambda frame: any_answer(frame, 138, 1))
    shorten_the_limit_of_a_mint(patch)


@mutant("WS-09", killed_by=case(UNUSUAL))
def wide_maps_are_not_read(patch: pytest.MonkeyPatch) -> None:
    read = replication.operation_response
    change_answer(patch, lambda frame: None if b"\xde" in frame[:4] else read(frame))
    shorten_the_limit_of_a_mint(patch)


@mutant("WS-13", killed_by=ONE_REQUEST)
def a_greeting_is_expected(patch: pytest.MonkeyPatch) -> None:
    connect = Peer.replication_socket

    @contextlib.asynccontextmanager
    async def polite(self: Peer, subprotocol: str) -> AsyncIterator[Any]:
        async with connect(self, subprotocol) as socket:
            await socket.receive()
            yield socket

    patch.setattr(Peer, "replication_socket", polite)
    shorten_the_limit_of_a_mint(patch)


@mutant("WS-15", killed_by=case(UNUSUAL, fault=OthersFirst()))
def every_message_is_an_answer(patch: pytest.MonkeyPatch) -> None:
    change_answer(patch, lambda frame: any_answer(frame, None, None))


@mutant("WS-17", killed_by=case(UNUSUAL, fault=UnknownRequestId()))
def every_answer_is_for_this_request(patch: pytest.MonkeyPatch) -> None:
    change_answer(patch, lambda frame: any_answer(frame, 137, None))


@mutant("WS-11", killed_by=case(UNUSUAL, fault=Fragments()))
def every_frame_is_a_message(patch: pytest.MonkeyPatch) -> None:
    class FrameByFrame(WebSocketReader):
        def _handle_frame(self, _: object, opcode: int, *rest: Any) -> None:
            final = True
            super()._handle_frame(final, opcode or aiohttp.WSMsgType.BINARY, *rest)

    patch.setattr(aiohttp.client, "WebSocketReader", FrameByFrame)
    # The queue in C takes no reader in Python.
    patch.setattr(aiohttp.client, "WebSocketDataQueue", WebSocketDataQueue)
    shorten_the_limit_of_a_mint(patch)


@mutant("WS-19", killed_by=case(test_replication.test_a_ping_is_answered))
def pings_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(aiohttp.ClientWebSocketResponse, "pong", nothing_happens)


@mutant(
    "MINT-07",
    killed_by=case(test_replication.test_a_mint_over_a_socket_asks_for_a_short_lifetime),
)
def a_socket_mints_for_a_day(patch: pytest.MonkeyPatch) -> None:
    change_request(patch, lambda request: [request[0], {**request[1], "expires_in": "1d"}])


@mutant(
    "BUG-30",
    killed_by=case(test_memory.test_memory_does_not_grow_with_the_answer_of_a_socket),
)
def a_message_has_no_size_limit(patch: pytest.MonkeyPatch) -> None:
    connect = aiohttp.ClientSession.ws_connect
    patch.setattr(
        aiohttp.ClientSession,
        "ws_connect",
        lambda *at, **how: connect(*at, **{**how, "max_msg_size": 0}),
    )


@mutant("WS-11", killed_by=case(UNUSUAL, fault=PingFirst()))
def a_ping_is_the_end(patch: pytest.MonkeyPatch) -> None:
    receive = aiohttp.ClientWebSocketResponse.receive

    async def impatient(self: Any, *at: Any) -> Any:
        message = await receive(self, *at)
        if message.type is aiohttp.WSMsgType.PING:
            return WS_CLOSED_MESSAGE
        return message

    patch.setattr(aiohttp.ClientWebSocketResponse, "receive", impatient)


@mutant(
    "BUG-39",
    killed_by=case(
        test_replication.test_each_peer_mints_on_its_own_socket_and_no_payload_is_sent_there
    ),
)
def the_payload_travels_in_the_frame(patch: pytest.MonkeyPatch) -> None:
    change_request(patch, lambda request: [request[0], {**request[1], "payload": bytes(9_000)}])


@mutant(
    "WS-14",
    killed_by=case(
        test_replication.test_a_socket_is_closed_after_its_answer_and_not_after_the_upload
    ),
)
def sockets_are_closed_at_the_end_of_the_deploy(patch: pytest.MonkeyPatch) -> None:
    connect, leave = Peer.replication_socket, Connections.__aexit__
    kept = contextlib.AsyncExitStack()

    @contextlib.asynccontextmanager
    async def keeping(self: Peer, *at: Any) -> AsyncIterator[Any]:
        yield await kept.enter_async_context(connect(self, *at))

    async def closing(self: Connections, *error: object) -> None:
        await kept.aclose()
        await leave(self, *error)

    patch.setattr(Peer, "replication_socket", keeping)
    patch.setattr(Connections, "__aexit__", closing)


@mutant(
    "WS-10",
    killed_by=case(test_replication.test_another_attempt_opens_another_socket),
)
def requests_are_counted_over_all_connections(patch: pytest.MonkeyPatch) -> None:
    mint = ReplicationMint.mint
    numbers = itertools.count(1)

    async def counting(self: ReplicationMint, *at: Any) -> str:
        patch.setattr(replication, "_REQUEST_ID", next(numbers))
        return await mint(self, *at)

    patch.setattr(ReplicationMint, "mint", counting)
