"""Odd but correct relays: how they mint a token, over the operations API and over a socket."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgpack  # type: ignore[import-untyped]  # it has no types of its own
import pytest
from aiohttp._websocket.writer import WebSocketWriter

from deploy_relay_kit.relay import fanout, peer, replication, request
from deploy_relay_kit.relay.formdata import name_bytes
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record
from deploy_relay_kit.relay.request import forwarded_fields
from tests.mutants.odd import odd
from tests.mutants.of_records import change_report
from tests.mutants.of_sockets import change_request
from tests.mutants.of_wire import change_headers

# -- the mint over the operations API ------------------------------------------------------------


def change_mint(patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], str]) -> None:
    """Write the JSON of a mint in another way."""
    patch.setattr(peer, "json", SimpleNamespace(dumps=change))


@odd("mint body")
def mints_in_chunks(patch: pytest.MonkeyPatch) -> None:
    exchange = Peer.post

    def chunked(self: Peer, headers: Any, body: Any, *more: Any) -> Any:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 20):
                yield body[at : at + 20]

        return exchange(self, headers, pieces() if isinstance(body, bytes) else body, *more)

    patch.setattr(Peer, "post", chunked)


@odd("mint")
def mints_in_compact_json_with_a_charset(patch: pytest.MonkeyPatch) -> None:
    change_mint(patch, lambda request: json.dumps(request, separators=(",", ":")))
    more = {"Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}
    change_headers(patch, lambda headers: {**headers, **more}, of_mints=True)


@odd("mint")
def mints_with_escapes_and_blanks(patch: pytest.MonkeyPatch) -> None:
    """RFC 8259: any character may be escaped, and blanks may stand around a value."""

    def escaped(request: dict[str, Any]) -> str:
        text = json.dumps(request).replace("operation", "\\u006fperation")
        return f" \r\n\t{text}\n"

    change_mint(patch, escaped)


@odd()
def a_token_in_a_refusal_of_the_mint_is_hidden(patch: pytest.MonkeyPatch) -> None:
    def hidden(record: Record) -> Record:
        reason = str(record.get("reason"))
        if '{"operation_token":' not in reason:
            return record
        return {**record, "reason": reason.replace('"a.b.c"', '"[token]"')}

    change_report(patch, lambda records: list(map(hidden, records)))


def change_lifetime(patch: pytest.MonkeyPatch, lifetime: object) -> None:
    """Ask for another lifetime, over either way to mint."""
    ask, send = Peer.ask, replication.send_operation

    def asked(self: Peer, request: Mapping[str, object], **how: Any) -> Any:
        more = {"expires_in": lifetime} if "expires_in" in request else {}
        return ask(self, {**request, **more}, **how)

    def sent(context: Any, operation: Mapping[str, object], **how: Any) -> Any:
        return send(context, {**operation, "expires_in": lifetime}, **how)

    patch.setattr(Peer, "ask", asked)
    patch.setattr(replication, "send_operation", sent)


@odd("lifetime")
def lifetimes_in_seconds(patch: pytest.MonkeyPatch) -> None:
    change_lifetime(patch, 300)


@odd("lifetime")
def lifetimes_of_an_hour(patch: pytest.MonkeyPatch) -> None:
    change_lifetime(patch, "1h")


@odd("lifetime")
def lifetimes_in_words(patch: pytest.MonkeyPatch) -> None:
    change_lifetime(patch, "10 minutes")


@odd("lifetime")
def lifetimes_of_half_a_minute(patch: pytest.MonkeyPatch) -> None:
    change_lifetime(patch, "30s")


# -- requests ------------------------------------------------------------------------------------


@odd()
def a_project_that_reads_as_a_number_is_quoted(patch: pytest.MonkeyPatch) -> None:
    check = request._check_project

    def quoted(fields: dict[str, object]) -> None:
        project = fields.get("project")
        if isinstance(project, str) and not isinstance(request.decoded(project), str):
            fields["project"] = json.dumps(project, ensure_ascii=False)
        check(fields)

    patch.setattr(request, "_check_project", quoted)


def change_duplicates(patch: pytest.MonkeyPatch, *, first: bool) -> None:
    """Of members whose names are equal without quotes and line ends, send one."""

    def cleaned(name: object) -> object:
        return name_bytes(name).decode() if isinstance(name, str) else name

    def one_each(given: Mapping[str, object]) -> dict[str, object]:
        kept: dict[object, str] = {}
        for name in given:
            if first:
                kept.setdefault(cleaned(name), name)
            else:
                kept[cleaned(name)] = name
        return forwarded_fields({name: given[name] for name in given if name in kept.values()})

    patch.setattr(fanout, "forwarded_fields", one_each)


@odd("names")
def the_first_of_equal_names_is_sent(patch: pytest.MonkeyPatch) -> None:
    change_duplicates(patch, first=True)


@odd("names")
def the_last_of_equal_names_is_sent(patch: pytest.MonkeyPatch) -> None:
    change_duplicates(patch, first=False)


# -- the socket ----------------------------------------------------------------------------------


def change_handshake(patch: pytest.MonkeyPatch, **more: str) -> None:
    """Send these headers in the handshake of a socket, too."""
    connect = aiohttp.ClientSession.ws_connect

    def connected(self: Any, url: Any, **how: Any) -> Any:
        return connect(self, url, **{**how, "headers": {**how.get("headers", {}), **more}})

    patch.setattr(aiohttp.ClientSession, "ws_connect", connected)


@odd("handshake")
def a_handshake_as_browsers_send_it(patch: pytest.MonkeyPatch) -> None:
    """RFC 6455 section 4.1: names in any case, further tokens, extensions that a peer declines."""
    change_handshake(
        patch,
        **{
            "Upgrade": "WebSocket",
            "Connection": "keep-alive, Upgrade",
            "Origin": "null",
            "User-Agent": "odd/1.0",
            "Pragma": "no-cache",
            "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        },
    )


@odd("frames")
def frames_with_a_mask_of_zeros(patch: pytest.MonkeyPatch) -> None:
    begin = WebSocketWriter.__init__

    def unmasked(self: WebSocketWriter, *at: Any, **how: Any) -> None:
        begin(self, *at, **{**how, "random": SimpleNamespace(getrandbits=lambda _: 0)})

    patch.setattr(WebSocketWriter, "__init__", unmasked)


@odd("frames")
def a_request_in_several_frames(patch: pytest.MonkeyPatch) -> None:
    """RFC 6455 section 5.4: with an empty first one, and a ping between two."""
    write = WebSocketWriter._write_websocket_frame
    final = 0x80

    def frames(self: WebSocketWriter, message: bytes, opcode: int, rsv: int) -> None:
        if opcode != aiohttp.WSMsgType.BINARY:
            write(self, message, opcode, rsv)
            return
        pieces = [b"", message[:20], message[20:]]
        for number, piece in enumerate(pieces):
            kind = opcode if number == 0 else aiohttp.WSMsgType.CONTINUATION
            is_last = number == len(pieces) - 1
            self.transport.write(_frame(piece, (final if is_last else 0) | kind))
            if number == 1:
                write(self, b"between", aiohttp.WSMsgType.PING, 0)

    patch.setattr(WebSocketWriter, "_write_websocket_frame", frames)


def _frame(data: bytes, first: int) -> bytes:
    """A short frame whose mask is zero."""
    return struct.pack("!BB", first, 0x80 | len(data)) + bytes(4) + data


@odd("close")
def a_close_without_a_code(patch: pytest.MonkeyPatch) -> None:
    async def close(self: WebSocketWriter, *_: Any) -> None:
        await self.send_frame(b"", opcode=aiohttp.WSMsgType.CLOSE)
        self._closing = True

    patch.setattr(WebSocketWriter, "close", close)


@odd("close")
def a_close_with_a_reason(patch: pytest.MonkeyPatch) -> None:
    close = WebSocketWriter.close
    patch.setattr(WebSocketWriter, "close", lambda self, *_: close(self, 1000, "thanks"))


@odd()
def a_socket_that_pings_all_the_time(patch: pytest.MonkeyPatch) -> None:
    """A ping, and a pong that nobody asked for, before the request and after it."""
    send = aiohttp.ClientWebSocketResponse.send_bytes

    async def chatty(self: Any, *at: Any) -> None:
        await self.ping(b"before")
        await self.pong()
        await send(self, *at)
        await self.ping()

    patch.setattr(aiohttp.ClientWebSocketResponse, "send_bytes", chatty)


@odd()
def a_socket_that_names_no_subprotocol_is_accepted(patch: pytest.MonkeyPatch) -> None:
    connect = aiohttp.ClientSession._ws_connect

    async def lenient(self: Any, *at: Any, **how: Any) -> Any:
        socket = await connect(self, *at, **how)
        if socket.protocol is None and "Sec-WebSocket-Protocol" not in socket._response.headers:
            socket._protocol = replication.SUBPROTOCOL
        return socket

    patch.setattr(aiohttp.ClientSession, "_ws_connect", lenient)


# -- the request in msgpack ----------------------------------------------------------------------


def change_packing(patch: pytest.MonkeyPatch, pack: Callable[[Any], bytes]) -> None:
    patch.setattr(replication, "msgpack", SimpleNamespace(**{**vars(msgpack), "packb": pack}))


def widest(value: Any) -> bytes:
    """A request with the widest form of each value."""
    if isinstance(value, str):
        return b"\xdb" + struct.pack("!I", len(value)) + value.encode()
    if isinstance(value, int):
        return b"\xcf" + struct.pack("!Q", value)
    if isinstance(value, dict):
        items = b"".join(widest(name) + widest(it) for name, it in value.items())
        return b"\xdf" + struct.pack("!I", len(value)) + items
    return b"\xdd" + struct.pack("!I", len(value)) + b"".join(map(widest, value))


def signed(value: Any) -> bytes:
    """A request with texts of 8 bits of length, signed numbers, and 16 bits elsewhere."""
    if isinstance(value, str):
        return b"\xd9" + struct.pack("!B", len(value)) + value.encode()
    if isinstance(value, int):
        return b"\xd1" + struct.pack("!h", value)
    if isinstance(value, dict):
        items = b"".join(signed(name) + signed(it) for name, it in value.items())
        return b"\xde" + struct.pack("!H", len(value)) + items
    return b"\xdc" + struct.pack("!H", len(value)) + b"".join(map(signed, value))


@odd("packing")
def a_request_in_the_widest_forms(patch: pytest.MonkeyPatch) -> None:
    change_packing(patch, widest)


@odd("packing")
def a_request_with_signed_numbers(patch: pytest.MonkeyPatch) -> None:
    change_packing(patch, signed)


@odd("packing")
def a_request_with_its_members_in_another_order(patch: pytest.MonkeyPatch) -> None:
    change_request(patch, lambda it: [it[0], dict(reversed(it[1].items()))])
