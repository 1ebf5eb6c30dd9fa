"""Every form that msgpack and WebSockets give an answer of a replication socket."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from deploy_relay_kit.harness import FakeCluster, FakePeer, FakeReplicationSocket
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.replication.faults import RawFrames, RawUpgrade, ReplicationFault
from deploy_relay_kit.harness.replication.frames import pack, pack_signed, pack_wide, response
from deploy_relay_kit.harness.replication.websocket import BINARY, PING, PONG, TEXT, frame

Tokens = dict[str, Any]

# -- msgpack -------------------------------------------------------------------------------------


def in_width(width: int) -> Callable[[Any, Tokens], bytes]:
    return lambda number, tokens: pack_wide([137, {**tokens, "requestId": number}], width)


def with_signed_id(width: int) -> Callable[[Any, Tokens], bytes]:
    return lambda number, tokens: pack_wide(
        [137, {**tokens, "requestId": pack_signed(number, width)}], 4
    )


def with_code(code: bytes) -> Callable[[Any, Tokens], bytes]:
    """An answer in a short list, with a code that has this form."""
    return lambda number, tokens: b"\x92" + code + pack({**tokens, "requestId": number})


def with_value(data: bytes) -> Callable[[Any, Tokens], bytes]:
    """An answer in which a member before the others has this value."""
    return lambda number, tokens: pack_wide([137, {"more": data, **tokens, "requestId": number}], 1)


VALUES = {
    "nil": b"\xc0",
    "false": b"\xc2",
    "true": b"\xc3",
    "a negative number of 5 bits": b"\xe0",
    **{
        f"the least number of {8 * it} bits": pack_signed(-(1 << 8 * it - 1), it)
        for it in (1, 2, 4, 8)
    },
    "the largest number": b"\xcf" + b"\xff" * 8,
    "a number of single precision": b"\xca" + struct.pack("!f", 1.5),
    "a number of double precision": b"\xcb" + struct.pack("!d", 1e300),
    "NaN": b"\xcb" + struct.pack("!d", float("nan")),
    "bytes": b"\xc4\x03\x00\xff\xfe",
    "bytes with 16 bits of length": b"\xc5\x00\x02\xff\xff",
    "bytes with 32 bits of length": b"\xc6\x00\x00\x00\x01\xff",
    "undefined": b"\xd4\x00\x00",
    "undefined with 8 bits of length": b"\xc7\x01\x00\x00",
    "a timestamp of 32 bits": b"\xd6\xff" + struct.pack("!I", 1_800_000_000),
    "a timestamp of 64 bits": b"\xd7\xff" + struct.pack("!Q", (5 << 34) | 1_800_000_000),
    "a timestamp of 96 bits": b"\xc7\x0c\xff" + struct.pack("!Iq", 5, -1_800_000_000),
    "a timestamp after the year 9999": b"\xc7\x0c\xff" + struct.pack("!Iq", 0, 253_402_300_800),
    "an empty text": b"\xa0",
    "an empty map": b"\x80",
    "an empty list": b"\x90",
    "a list with 16 bits of length": pack_wide([b"\xc0"] * 300, 2),
    "a nested value": pack_wide({"a": [{"b": [{"c": ["d"]}]}]}, 1),
    "a map with numbers as names": b"\x81\x01\xa1a",
    "a text of 300 bytes": pack_wide("ü" * 150, 2),
    "a text of 70,000 bytes": pack_wide("x" * 70_000, 4),
}
ANSWERS: Mapping[str, Callable[[Any, Tokens], bytes]] = {
    **{f"numbers and lengths of {8 * width} bits": in_width(width) for width in (1, 2, 4, 8)},
    **{f"a signed requestId of {8 * it} bits": with_signed_id(it) for it in (1, 2, 4, 8)},
    **{f"a signed code of {8 * it} bits": with_code(pack_signed(137, it)) for it in (2, 4, 8)},
    "a code of single precision": with_code(b"\xca" + struct.pack("!f", 137)),
    **{f"{name} in a further member": with_value(data) for name, data in VALUES.items()},
    "an error of nil": lambda number, tokens: pack(
        [137, {"error": None, **tokens, "requestId": number}]
    ),
    "an error of false": lambda number, tokens: pack(
        [137, {"error": False, **tokens, "requestId": number}]
    ),
    "an error of 0": lambda number, tokens: pack(
        [137, {"error": 0, **tokens, "requestId": number}]
    ),
    "an error without characters": lambda number, tokens: pack(
        [137, {"error": "", **tokens, "requestId": number}]
    ),
    "an error of undefined": lambda number, tokens: pack_wide(
        [137, {"error": b"\xd4\x00\x00", **tokens, "requestId": number}], 1
    ),
    "a requestId of single precision": lambda number, tokens: pack_wide(
        [137, {**tokens, "requestId": b"\xca" + struct.pack("!f", number)}], 1
    ),
    "a requestId of double precision": lambda number, tokens: pack_wide(
        [137, {**tokens, "requestId": b"\xcb" + struct.pack("!d", number)}], 1
    ),
    "a code of double precision": with_code(b"\xcb" + struct.pack("!d", 137)),
    "the members in another order": lambda number, tokens: pack(
        [137, {"requestId": number, "a": 1, **dict(reversed(tokens.items())), "z": None}]
    ),
}

# -- frames --------------------------------------------------------------------------------------


def framed(answer: Callable[[Any, Tokens], bytes]) -> RawFrames:
    return RawFrames(lambda number, tokens: frame(answer(number, tokens)))


def in_frames(*cuts: int, between: bytes = b"") -> RawFrames:
    """An answer in frames that end at these places; `between` follows each but the last."""

    def frames(number: Any, tokens: Tokens) -> bytes:
        message = response(number, tokens)
        ends = [*cuts, len(message)]
        sent, begin = b"", 0
        for place, end in enumerate(ends):
            is_last = place == len(ends) - 1
            sent += frame(message[begin:end], 0 if place else BINARY, final=is_last)
            sent += b"" if is_last else between
            begin = end
        return sent

    return RawFrames(frames)


def after(*frames: bytes) -> RawFrames:
    """An answer after these frames."""
    return RawFrames(lambda number, tokens: b"".join(frames) + frame(response(number, tokens)))


WAITING = b"still there?"
OTHER = pack([138, {"operation_token": "not a token of anybody's", "requestId": 1}])
OWN = pack([136, {"operation": "x", "operation_token": "not yours", "requestId": 1}])
FRAMES: Mapping[str, tuple[str, RawFrames]] = {
    "a frame for each byte": ("WS-11", in_frames(*range(1, 60))),
    "an empty first frame": ("WS-11", in_frames(0, 9)),
    "an empty last frame": (
        "WS-11",
        RawFrames(
            lambda number, tokens: frame(response(number, tokens), final=False) + frame(b"", 0)
        ),
    ),
    "empty frames in the middle": ("WS-11", in_frames(9, 9, 9)),
    "a ping between two frames": ("WS-11", in_frames(9, between=frame(WAITING, PING))),
    "pongs between its frames": ("WS-11", in_frames(9, 20, between=frame(b"", PONG))),
    "pongs that nobody asked for before it": ("WS-11", after(frame(b"", PONG), frame(b"x", PONG))),
    "a ping without data before it": ("WS-11", after(frame(b"", PING))),
    "a ping of 125 bytes before it": ("WS-11", after(frame(b"p" * 125, PING))),
    "three pings before it": ("WS-11", after(*[frame(WAITING, PING)] * 3)),
    "a text message before it": ("WS-15", after(frame(b"hello", TEXT))),
    "an answer in JSON before it": (
        "WS-15",
        after(frame(b'[137,{"requestId":1,"operation_token":"of-a-text"}]', TEXT)),
    ),
    "an empty message before it": ("WS-15", after(frame(b""))),
    "data of 100,000 bytes before it": ("WS-15", after(frame(b"\x01" * 100_000))),
    "an answer of 40,000 items to another before it": (
        "WS-15",
        after(frame(pack([138, {"items": [300] * 40_000}]))),
    ),
    "another code with its requestId before it": ("WS-15", after(frame(OTHER))),
    "an error with another code before it": (
        "WS-15",
        after(frame(pack([138, {"error": "not yours", "requestId": 1}]))),
    ),
    "a request with the same requestId before it": ("WS-15", after(frame(OWN))),
    "a code without a body before it": ("WS-15", after(frame(pack([137])), frame(pack([137, 0])))),
    "an empty list before it": ("WS-15", after(frame(b"\x90"))),
    "a map before it": ("WS-15", after(frame(pack({"requestId": 1})))),
    "requestId 2 before it": ("WS-17", after(frame(response(2, {"operation_token": "another"})))),
    "requestId 0 before it": ("WS-17", after(frame(response(0, {"error": "not yours"})))),
    "requestId -1 before it": ("WS-17", after(frame(response(-1, {"operation_token": "x"})))),
    "requestId 257 before it": ("WS-17", after(frame(response(257, {"operation_token": "x"})))),
    "requestId null before it": ("WS-17", after(frame(response(None, {"error": "nobody's"})))),
    "no requestId before it": ("WS-17", after(frame(pack([137, {"error": "nobody's"}])))),
}
"""The requirement, and an answer in these frames, or after them."""


def upgraded(*lines: str, then: bytes = b"") -> RawUpgrade:
    """A head of an upgrade with these lines; `{accept}` and `{subprotocol}` stand for theirs."""

    def head(accept: str, subprotocol: str) -> bytes:
        text = "\r\n".join([*lines, "", ""]).format(accept=accept, subprotocol=subprotocol)
        return text.encode() + then

    return RawUpgrade(head)


FIRST = "HTTP/1.1 101 Switching Protocols"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")
KEYS = ("Sec-WebSocket-Accept: {accept}", "Sec-WebSocket-Protocol: {subprotocol}")
HEADS = {
    "names in lower case": upgraded(FIRST, *map(str.lower, (*UPGRADE, KEYS[0], KEYS[1]))),
    "values in capitals": upgraded(FIRST, "Upgrade: WebSocket", "Connection: UPGRADE", *KEYS),
    "another order": upgraded(FIRST, *reversed(KEYS), *reversed(UPGRADE)),
    "further headers": upgraded(FIRST, "Date: x", "Server: y", *UPGRADE, *KEYS, "X-A: b"),
    "no words after 101": upgraded("HTTP/1.1 101 ", *UPGRADE, *KEYS),
    "no blanks after colons": upgraded(FIRST, *(it.replace(": ", ":") for it in UPGRADE + KEYS)),
    "a message right behind it": upgraded(FIRST, *UPGRADE, *KEYS, then=frame(b"\x00data")),
}


def deploy_over(
    cluster: FakeCluster, relay: Relay, check: Checks, faults: list[ReplicationFault]
) -> list[tuple[FakePeer, FakeReplicationSocket]]:
    """Deploy to peers whose sockets have these faults; Unseen if a usual socket is not used."""
    peers = [cluster.peer() for _ in range(len(faults) + 1)]
    sockets = [
        cluster.replication(peer, fault=fault)
        for peer, fault in zip(peers, [None, *faults], strict=True)
    ]
    relay.deploy(to=map(relay.minting_over, sockets, peers))
    check.need(peers[0].uploads, "the relay uses no plain answer of a socket either")
    return list(zip(peers[1:], sockets[1:], strict=True))


def assert_used(peer: FakePeer, socket: FakeReplicationSocket) -> None:
    tokens = [upload.token for upload in peer.uploads]
    assert tokens == [socket.socket.token], (
        f"expected one upload with the token of the answer, got {len(tokens) or 'none'}"
    )


def test_an_answer_is_read_in_every_form_of_msgpack(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The relay reads an answer with every width of its values, and with every type beside them."""
    found = deploy_over(cluster, relay, check, [*map(framed, ANSWERS.values())])
    for name, (peer, socket) in zip(ANSWERS, found, strict=True):
        with check("WS-09", f"the uploads after an answer with {name}"):
            check.need(socket.socket.token, "the socket answered no mint")
            assert_used(peer, socket)


def test_an_answer_is_read_in_every_form_of_frames(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The relay reads an answer in any frames, with control frames and other messages around."""
    found = deploy_over(cluster, relay, check, [fault for _, fault in FRAMES.values()])
    for (name, (id_, _)), (peer, socket) in zip(FRAMES.items(), found, strict=True):
        with check(id_, f"the uploads after an answer with {name}"):
            check.need(socket.socket.token, "the socket answered no mint")
            assert_used(peer, socket)


def test_a_pong_has_the_data_of_its_ping(cluster: FakeCluster, relay: Relay, check: Checks) -> None:
    """The last of some pings is answered by a pong with its data (RFC 6455 section 5.5.3)."""
    sent = [(WAITING,), (b"",), (b"\x00\xff" * 62 + b"x",), (b"one", b"two", b"three")]
    faults = [after(*(frame(data, PING) for data in pings)) for pings in sent]
    for pings, (_, socket) in zip(sent, deploy_over(cluster, relay, check, [*faults]), strict=True):
        with check(
            "WS-19", f"the pongs after {len(pings)} pings, the last with {len(pings[-1])} bytes"
        ):
            check.need(socket.socket.token, "the socket answered no mint")
            pongs = socket.socket.pongs
            assert pings[-1] in pongs, f"expected one with the data of the last, got {len(pongs)}"


def test_an_upgrade_is_read_in_every_form_of_its_head(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The relay accepts the head of an upgrade with any case, order and further headers."""
    found = deploy_over(cluster, relay, check, [*HEADS.values()])
    for name, (peer, socket) in zip(HEADS, found, strict=True):
        with check("WS-16", f"the uploads after an upgrade with {name}"):
            check.need(socket.connections, "the relay opened no connection to the socket")
            assert len(peer.uploads) == 1
