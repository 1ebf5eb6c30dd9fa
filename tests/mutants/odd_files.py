"""Odd but correct relays: files, names, refusals and records."""

from __future__ import annotations

import asyncio
import contextvars
import fcntl
import io
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import fanout, payload, urls
from deploy_relay_kit.relay.errors import OriginError
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.node import Node
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, Report
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.urls import Endpoint
from tests.mutants.odd import odd
from tests.mutants.odd_connecting import add_headers
from tests.mutants.of_answers import change_limits
from tests.mutants.of_records import change_report
from tests.mutants.of_sending import change_blocks

# -- the payload ---------------------------------------------------------------------------------


@odd("opens")
def the_payload_is_opened_before_the_mint(patch: pytest.MonkeyPatch) -> None:
    """And closed when the attempt ends; a payload that vanishes meanwhile arrives whole."""
    send, open_at_once = vars(fanout)["send"], vars(payload)["open_at_once"]
    held: contextvars.ContextVar[io.FileIO | None] = contextvars.ContextVar("held", default=None)

    async def sent(upload: Any, peer: Peer) -> Any:
        try:
            with open_at_once(upload.payload.path) as file:
                token = held.set(file)
                try:
                    return await send(upload, peer)
                finally:
                    held.reset(token)
        except OSError:
            return await send(upload, peer)  # which says why

    def reopened(path: Path) -> io.FileIO:
        file = held.get()
        if file is None:
            return io.FileIO(path)
        file.seek(0)
        return io.FileIO(os.dup(file.fileno()))

    patch.setattr(fanout, "send", sent)
    patch.setattr(payload, "open_at_once", reopened)


@odd("opens")
def the_payload_is_locked_while_it_is_read(patch: pytest.MonkeyPatch) -> None:
    def locked(path: Path) -> io.FileIO:
        file = io.FileIO(path)
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    patch.setattr(payload, "open_at_once", locked)


@odd("blocks")
def one_block_is_read_ahead(patch: pytest.MonkeyPatch) -> None:
    def ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
        held = next(blocks, None)
        for block in blocks:
            assert held is not None
            yield held
            held = block
        if held is not None:
            yield held

    change_blocks(patch, ahead)


@odd("limit", "rate")
def a_hundred_megabytes_in_a_second(patch: pytest.MonkeyPatch) -> None:
    change_limits(patch, lambda limits: replace(limits, rate=1e8))


# -- nodes and URLs ------------------------------------------------------------------------------


@odd("names")
def two_nodes_of_one_name_have_a_record_each(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def told_apart(*, nodes: list[Node], **how: Any) -> Report:
        names = [node.name for node in nodes]
        if len({*names}) == len(names):
            return await deploy(nodes=nodes, **how)
        numbered = [replace(it, name=f"{it.name}#{at}") for at, it in enumerate(nodes)]
        report = await deploy(nodes=numbered, **how)
        return Report(
            [{**it, "node": name} for name, it in zip(names, report.records, strict=True)]
        )

    patch.setattr(reference, "deploy", told_apart)


@odd()
def a_deploy_to_no_nodes_is_refused(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def refusing(*, nodes: list[Node], **how: Any) -> Report:
        if not nodes:
            raise reference.InputError("no nodes")
        return await deploy(nodes=nodes, **how)

    patch.setattr(reference, "deploy", refusing)


@odd("user info")
def a_user_name_in_a_url_is_ignored(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def parsed(node: Node, url: str, *at: Any, **how: Any) -> Endpoint:
        return parse(node, re.sub(r"^([a-zA-Z]+://)[^/?#]*@", r"\1", url), *at, **how)

    patch.setattr(urls, "_parse", parsed)


@odd("user info")
def a_url_with_a_user_name_fails_its_node_alone(patch: pytest.MonkeyPatch) -> None:
    parse = urls._parse

    def parsed(*at: Any, **how: Any) -> Endpoint:
        try:
            return parse(*at, **how)
        except reference.InputError:
            raise OriginError("resolve", "its URL has a user name") from None

    patch.setattr(urls, "_parse", parsed)


@odd("upgrade")
def plain_http_offers_http_2(patch: pytest.MonkeyPatch) -> None:
    """As the `HttpClient` of Java does (RFC 7540 section 3.2)."""
    post = Peer.post
    more = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    }

    @asynccontextmanager
    async def offered(self: Peer, headers: Any, *at: Any) -> AsyncIterator[Reply]:
        headers = {**more, **headers} if self.api.scheme == "http" else headers
        async with post(self, headers, *at) as reply:
            yield reply

    patch.setattr(Peer, "post", offered)


@odd("agent")
def the_agent_of_a_program_in_many_words(patch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 10.1.5 allows comments, quotes and bytes beyond ASCII in them."""
    words = 'relay/1.0 (Linux; "x86_64"; Zürich) Go-http-client/1.1'
    add_headers(patch, {"User-Agent": words.encode().decode("latin-1")})


# -- records and outputs -------------------------------------------------------------------------


@odd("hidden")
def secrets_are_hidden_behind_stars(patch: pytest.MonkeyPatch) -> None:
    hide = Peer.hide
    patch.setattr(Peer, "hide", lambda self, secret, _: hide(self, secret, "***"))


@odd()
def numbers_of_an_answer_are_doubles(patch: pytest.MonkeyPatch) -> None:
    """As JavaScript reads and writes them."""

    def as_double(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: as_double(it) for name, it in value.items()}
        if isinstance(value, list):
            return [as_double(it) for it in value]
        if type(value) in (int, float) and abs(value) < 1e21:
            return int(value) if float(value).is_integer() else float(value)
        return value

    def doubled(record: Record) -> Record:
        return {name: as_double(it) for name, it in record.items()}

    change_report(patch, lambda records: list(map(doubled, records)))


@odd("pauses")
def pauses_of_a_tenth(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def short(self: Retry, *at: Any) -> float | None:
        return delay(replace(self, first_delay=self.first_delay / 10), *at)

    patch.setattr(Retry, "delay", short)


def change_deploy(patch: pytest.MonkeyPatch, before: Any) -> None:
    deploy = reference.deploy

    async def changed(**how: Any) -> Report:
        before(how)
        return await deploy(**how)

    patch.setattr(reference, "deploy", changed)


@odd()
def the_nodes_are_told_on_standard_error(patch: pytest.MonkeyPatch) -> None:
    def tell(how: dict[str, Any]) -> None:
        sys.stderr.write(f"deploys to {[node.name for node in how['nodes']]!a}\n")

    change_deploy(patch, tell)


@odd()
def a_log_file_without_secrets_grows(patch: pytest.MonkeyPatch) -> None:
    def log(how: dict[str, Any]) -> None:
        with (Path(tempfile.gettempdir()) / "odd-relay.log").open("a") as file:
            file.write(f"deploys to {len(how['nodes'])} nodes\n")

    change_deploy(patch, log)


@odd()
def every_node_has_a_task_of_its_own_name(patch: pytest.MonkeyPatch) -> None:
    """And one that watches, and ends a moment later."""
    watching = set[asyncio.Task[None]]()

    def watch(how: dict[str, Any]) -> None:
        for node in how["nodes"]:
            task = asyncio.create_task(asyncio.sleep(0.01), name=node.name)
            watching.add(task)
            task.add_done_callback(watching.discard)

    change_deploy(patch, watch)
