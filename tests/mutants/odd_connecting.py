"""Odd but correct relays: connections that nobody needs, heads of more libraries, other clocks."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest
from yarl import URL

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import fanout, peer, states, tls
from deploy_relay_kit.relay.connection import Connections, _Connector
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.link import Reply, Streamed
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Report
from deploy_relay_kit.relay.sockets import Lookups
from deploy_relay_kit.relay.states import AnswerState
from deploy_relay_kit.relay.upload import _Sending
from tests.mutants.odd import odd
from tests.mutants.odd_order import MOMENT
from tests.mutants.of_wire import change_headers

# -- connections ---------------------------------------------------------------------------------


def change_connecting(patch: pytest.MonkeyPatch, before: Any) -> None:
    """Do something with the arguments before each connection."""
    create = _Connector._wrap_create_connection

    async def changed(self: _Connector, *factory: Any, **how: Any) -> Any:
        await before(how)
        return await create(self, *factory, **how)

    patch.setattr(_Connector, "_wrap_create_connection", changed)


@odd("race")
def every_address_is_tried_at_once(patch: pytest.MonkeyPatch) -> None:
    """RFC 8305: the connections of TCP that are not needed are closed before TLS."""

    async def race(how: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        for family, kind, protocol, _, address in [*how["addr_infos"]]:
            with socket.socket(family, kind, protocol) as dropped:
                dropped.setblocking(False)  # noqa: FBT003
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(MOMENT * 5):
                        await loop.sock_connect(dropped, address)

    change_connecting(patch, race)


class _Kept(list[Any]):
    """A list of addresses that is not cleared."""

    def clear(self) -> None:
        return


@odd("next address")
def the_next_address_is_tried_after_a_failed_handshake(patch: pytest.MonkeyPatch) -> None:
    async def keep(how: dict[str, Any]) -> None:
        how["addr_infos"] = _Kept(how["addr_infos"])

    change_connecting(patch, keep)


@odd("addresses")
def the_last_address_is_tried_first(patch: pytest.MonkeyPatch) -> None:
    resolve = Lookups.resolve

    async def reversed_(self: Lookups, *at: Any, **how: Any) -> Any:
        return [*reversed(await resolve(self, *at, **how))]

    patch.setattr(Lookups, "resolve", reversed_)


@odd()
def a_connection_in_reserve(patch: pytest.MonkeyPatch) -> None:
    """A pool keeps an idle connection to each node, on which nothing is ever sent."""
    token, leave = Peer.token, Connections.__aexit__
    kept: dict[Connections, list[asyncio.StreamWriter]] = {}

    async def reserved(self: Peer) -> str:
        minted = await token(self)
        url = URL(self.api.url, encoded=True)
        how: dict[str, Any] = {"ssl": self.tls} if url.scheme == "https" else {}
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(MOMENT * 10):
                _, writer = await asyncio.open_connection(url.host, url.port, **how)
                kept.setdefault(self.connections, []).append(writer)
        return minted

    async def left(self: Connections, *at: Any) -> None:
        for writer in kept.pop(self, []):
            writer.transport.abort()
        await leave(self, *at)

    patch.setattr(Peer, "token", reserved)
    patch.setattr(Connections, "__aexit__", left)


@odd()
def no_two_nodes_share_a_context_of_tls(patch: pytest.MonkeyPatch) -> None:
    contexts_for = vars(fanout)["contexts_for"]

    def alone(nodes: Iterable[Any], of_deploy: tls.Tls) -> list[Any]:
        return [contexts_for([node], of_deploy)[0] for node in nodes]

    patch.setattr(tls, "_shared_context", tls._new_context)
    patch.setattr(fanout, "contexts_for", alone)


@odd()
def a_socket_that_does_not_wait_for_the_close_of_the_peer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(peer, "CLOSE_SECONDS", 0.001)


# -- heads of requests ---------------------------------------------------------------------------


def add_headers(patch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    """Add headers to every mint and every upload that does not have them."""
    for of_mints in (False, True):
        change_headers(patch, lambda headers: {**more, **headers}, of_mints=of_mints)


@odd("accept-encoding")
def no_coding_is_offered_by_name(patch: pytest.MonkeyPatch) -> None:
    """As `http.client` of Python does."""
    add_headers(patch, {"Accept-Encoding": "identity"})


@odd("accept", "caches")
def the_headers_of_an_old_java(patch: pytest.MonkeyPatch) -> None:
    """As `HttpURLConnection` does."""
    accept = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
    add_headers(patch, {"Accept": accept, "Cache-Control": "no-cache", "Pragma": "no-cache"})


@odd("connection header")
def the_headers_of_a_long_connection(patch: pytest.MonkeyPatch) -> None:
    add_headers(patch, {"Connection": "Keep-Alive", "Keep-Alive": "timeout=5, max=1000"})


@odd("connection header")
def trailers_are_taken(patch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 10.1.4."""
    add_headers(patch, {"TE": "trailers", "Connection": "TE, keep-alive"})


@odd("tracing")
def the_headers_of_a_trace(patch: pytest.MonkeyPatch) -> None:
    """As the libraries of .NET and Node do that are traced."""
    more = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    add_headers(patch, {**more, "tracestate": "a=1,b=2", "Request-Id": "|7.1", "sentry-trace": ""})


@odd()
def the_headers_of_a_mail(patch: pytest.MonkeyPatch) -> None:
    more = {"MIME-Version": "1.0", "Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Max-Forwards": "10"}
    add_headers(patch, {**more, "From": "relay@example.com", "DNT": "1", "Range-Unit": "items"})


# -- order and time ------------------------------------------------------------------------------


@odd()
def a_pause_before_the_last_chunk(patch: pytest.MonkeyPatch) -> None:
    write = Streamed.write_with_length

    async def late(self: Streamed, *at: Any) -> None:
        await write(self, *at)
        await asyncio.sleep(MOMENT)

    patch.setattr(Streamed, "write_with_length", late)


@odd()
def nodes_begin_in_any_order(patch: pytest.MonkeyPatch) -> None:
    settle = FanOut._settle

    async def late(self: FanOut, *at: Any) -> Any:
        await asyncio.sleep(0.007 * (7 * self.names.index(at[0]) % 5))
        return await settle(self, *at)

    patch.setattr(FanOut, "_settle", late)


@odd()
def a_world_that_stops_now_and_then(patch: pytest.MonkeyPatch) -> None:
    """As a collection of garbage stops all threads."""
    run = FanOut.run

    async def stopping() -> None:
        while True:
            await asyncio.sleep(0.1)
            time.sleep(0.02)  # noqa: ASYNC251

    async def stopped(self: FanOut, *at: Any) -> Report:
        task = asyncio.create_task(stopping())
        try:
            return await run(self, *at)
        finally:
            task.cancel()

    patch.setattr(FanOut, "run", stopped)


@odd()
def limits_are_noticed_a_little_late(patch: pytest.MonkeyPatch) -> None:
    """As a relay does that looks at its clock twice a second."""
    start = Deadline.start
    patch.setattr(Deadline, "start", lambda self, seconds: start(self, seconds + 0.3))


@odd()
def records_are_returned_a_little_later(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def late(**how: Any) -> Report:
        report = await deploy(**how)
        await asyncio.sleep(0.1)
        return report

    patch.setattr(reference, "deploy", late)


@odd()
def a_refused_connection_is_closed_a_little_later(patch: pytest.MonkeyPatch) -> None:
    members = _Sending._members

    async def late(self: _Sending, reply: Reply) -> Any:
        try:
            return await members(self, reply)
        finally:
            if self._exchange.answer is AnswerState.REFUSED:
                await asyncio.sleep(MOMENT)

    patch.setattr(_Sending, "_members", late)


@odd()
def a_stream_is_left_at_once_when_it_is_done(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(states, "_CLOSE_SECONDS", 0.0)


@odd()
def an_answer_is_read_in_small_pieces(patch: pytest.MonkeyPatch) -> None:
    begin, go_on = Reply.__aiter__, Reply.__anext__
    pieces: dict[int, list[bytes]] = {}

    async def small(self: Reply) -> bytes:
        left = pieces.setdefault(id(self), [])
        if not left:
            block = await go_on(self)
            size = 7 if len(block) < 10_000 else len(block)
            left += [block[at : at + size] for at in range(0, len(block), size)]
        return left.pop(0)

    def begun(self: Reply) -> Reply:
        pieces.pop(id(self), None)
        return begin(self)

    patch.setattr(Reply, "__aiter__", begun)
    patch.setattr(Reply, "__anext__", small)


@odd()
def a_thread_that_outlives_the_deploy(patch: pytest.MonkeyPatch) -> None:
    """As those of a pool, which wait for other work."""
    deploy = reference.deploy

    async def pooled(**how: Any) -> Report:
        threading.Thread(target=time.sleep, args=(1.0,), daemon=True).start()
        return await deploy(**how)

    patch.setattr(reference, "deploy", pooled)


@odd("threads")
def a_thread_for_each_node(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def apart(*, nodes: list[reference.Node], **how: Any) -> Report:
        return await deploy(nodes=nodes, threads=max(1, min(len(nodes), 8)), **how)

    patch.setattr(reference, "deploy", functools.wraps(deploy)(apart))
