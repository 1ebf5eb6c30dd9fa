"""Odd but correct relays: each uses one freedom that the requirements leave."""

from __future__ import annotations

import base64
import contextvars
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit import relay as reference
from deploy_relay_kit.relay import formdata, peer
from deploy_relay_kit.relay.connection import Connections
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record, Report
from deploy_relay_kit.relay.retry import Retry
from deploy_relay_kit.relay.token import OperationsMint
from tests.mutants.of_records import change_report
from tests.mutants.of_sending import change_blocks
from tests.mutants.of_wire import change_form, change_headers

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Odd:
    """A relay that uses one freedom.

    Attributes:
        apply: patches the reference.
        of: what it changes; two relays that change the same are never applied together.
    """

    apply: Patch
    of: frozenset[str]

    @property
    def name(self) -> str:
        return self.apply.__name__


ODD: list[Odd] = []


def odd(*of: str) -> Callable[[Patch], Patch]:
    """Register a function that patches the reference; `of`: see `Odd`, by default its own name."""

    def register(apply: Patch) -> Patch:
        ODD.append(Odd(apply, frozenset(of or {apply.__name__})))
        return apply

    return register


@odd("boundary")
def boundaries_of_another_form(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "BOUNDARY_PREFIX", "b")


@odd("boundary")
def boundaries_as_long_as_they_may_be(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "BOUNDARY_PREFIX", "-" * 46)


@odd("boundary digits")
def boundaries_of_twelve_random_digits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "secrets", SimpleNamespace(token_hex=lambda _: secrets.token_hex(6)))


@odd("accept")
def more_headers_than_are_needed(patch: pytest.MonkeyPatch) -> None:
    more = {"User-Agent": "odd/1.0", "Accept": "Application/JSON", "X-Request-Id": "7"}
    change_headers(patch, lambda headers: {**more, **headers})


def change_content_type(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    change_headers(patch, lambda it: {**it, "Content-Type": change(it["Content-Type"])})


@odd("content type")
def media_types_in_capitals(patch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 8.3.1: media types and names of parameters ignore case."""
    names = re.compile("multipart/form-data|boundary(?==)")
    change_content_type(patch, lambda of: names.sub(lambda it: it[0].title(), of))


@odd("connection header")
def uploads_with_connection_close(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {**headers, "Connection": "close"})


@odd("blocks")
def small_chunks(patch: pytest.MonkeyPatch) -> None:
    def split(blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            yield from (bytes(block[i : i + 10_000]) for i in range(0, len(block), 10_000))

    change_blocks(patch, split)


@odd("parts")
def fields_and_file_in_one_chunk(patch: pytest.MonkeyPatch) -> None:
    head: contextvars.ContextVar[bytes] = contextvars.ContextVar("head")

    def without_head(form: formdata.Frame) -> formdata.Frame:
        head.set(form.head)
        return replace(form, head=b"")

    def together(blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield head.get() + next(blocks)
        yield from blocks

    change_form(patch, without_head)
    change_blocks(patch, together)


@odd("connections")
def one_connection_for_mint_and_upload(patch: pytest.MonkeyPatch) -> None:
    change_connector(patch, keepalive_timeout=15)


@odd("connections", "connection header")
def connections_that_say_they_close(patch: pytest.MonkeyPatch) -> None:
    change_connector(patch, force_close=True, keepalive_timeout=None)


def change_connector(patch: pytest.MonkeyPatch, **how: Any) -> None:
    make = aiohttp.TCPConnector
    patch.setattr(aiohttp, "TCPConnector", lambda **usual: make(**{**usual, **how}))


@odd("mint body")
def credentials_of_a_mint_in_its_head(patch: pytest.MonkeyPatch) -> None:
    exchange = Peer.post

    def basic(self: Peer, headers: Any, body: Any, *more: Any) -> Any:
        if not (isinstance(body, bytes) and b"password" in body):
            return exchange(self, headers, body, *more)
        request = json.loads(body)
        pair = f"{request.pop('username')}:{request.pop('password')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
        headers = {**headers, "Authorization": authorization}
        return exchange(self, headers, vars(peer)["json"].dumps(request).encode())

    patch.setattr(Peer, "post", basic)


@odd()
def failed_records_instead_of_a_refusal(patch: pytest.MonkeyPatch) -> None:
    deploy = reference.deploy

    async def lenient(*, nodes: list[reference.Node], **how: Any) -> Report:
        try:
            return await deploy(nodes=nodes, **how)
        except reference.InputError as error:
            failed: Record = {"status": "failed", "reason": str(error), "stage": "upload"}
            return Report([{"node": node.name, **failed} for node in nodes])

    patch.setattr(reference, "deploy", lenient)


@odd()
def records_with_more_members(patch: pytest.MonkeyPatch) -> None:
    more = {"seconds": 0.5, "address": "127.0.0.2", "relay": {"name": "odd"}}
    change_report(patch, lambda records: [{**more, **record} for record in records])


@odd("words")
def transport_errors_in_other_words(patch: pytest.MonkeyPatch) -> None:
    def reworded(record: Record) -> Record:
        if record.get("stage") in {"connect", "tls", "upload"} and "statusCode" not in record:
            kept = str(record["reason"]).startswith("token mint failed: ")
            return {**record, "reason": "token mint failed: gone" if kept else "gone"}
        return record

    change_report(patch, lambda records: list(map(reworded, records)))


@odd("mint")
def mints_in_another_json_layout(patch: pytest.MonkeyPatch) -> None:
    def spacious(request: dict[str, Any]) -> str:
        return json.dumps(dict(reversed(request.items())), indent=1)

    patch.setattr(peer, "json", SimpleNamespace(dumps=spacious))


@odd("connections")
def mints_on_their_own_connection(patch: pytest.MonkeyPatch) -> None:
    mint = OperationsMint.mint

    async def alone(self: OperationsMint, context: Peer) -> str:
        async with Connections(context.limits) as own:
            return await mint(self, replace(context, connections=own))

    patch.setattr(OperationsMint, "mint", alone)


@odd("pauses")
def no_pause_before_another_attempt(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay
    patch.setattr(Retry, "delay", lambda retry, *at: delay(replace(retry, first_delay=0.0), *at))


@odd()
def records_with_their_members_in_another_order(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: [dict(reversed(it.items())) for it in records])


@odd("header order")
def headers_in_another_order(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: dict(reversed(list(headers.items()))))


@odd("header names")
def headers_in_lower_case(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {name.lower(): it for name, it in headers.items()})


@odd("accept")
def anything_is_accepted_beside_json(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda it: {"Accept": "application/json, */*;q=0.1", **it})
