"""Odd but correct relays: what the HTTP and JSON libraries of other languages write."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import aiohttp.http_writer
import pytest
from multidict import CIMultiDict

from deploy_relay_kit.relay.answer import Answer
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.report import Record
from tests.mutants.odd import change_content_type, odd
from tests.mutants.odd_minting import change_handshake, change_mint
from tests.mutants.odd_reading import change_failures
from tests.mutants.odd_sending import (
    MEBIBYTE,
    change_json,
    change_lines,
    change_part_heads,
)
from tests.mutants.of_sending import change_blocks
from tests.mutants.of_wire import change_headers

# -- heads of requests ---------------------------------------------------------------------------


@odd("header lines")
def the_names_of_headers_are_in_capitals(patch: pytest.MonkeyPatch) -> None:
    change_lines(patch, lambda name, value: f"{name.upper()}: {value}")


@odd("header order")
def the_host_stands_last(patch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 5.3: the order of fields with different names has no meaning."""
    serialize = aiohttp.http_writer._serialize_headers

    def serialized(start: str, headers: Any) -> bytes:
        ordered = sorted(headers.items(), key=lambda it: it[0].lower() == "host")
        return serialize(start, CIMultiDict(ordered))

    patch.setattr(aiohttp.http_writer, "_serialize_headers", serialized)


@odd("accept")
def the_headers_of_undici(patch: pytest.MonkeyPatch) -> None:
    """The fetch of Node sends these with every request."""
    more = {
        "accept": "*/*",
        "accept-language": "*",
        "sec-fetch-mode": "cors",
        "user-agent": "node",
    }

    def added(headers: Any) -> dict[str, str]:
        given = {name.lower() for name in headers}
        return {**{name: it for name, it in more.items() if name not in given}, **headers}

    for of_mints in (False, True):
        change_headers(patch, added, of_mints=of_mints)


@odd("accept-encoding")
def gzip_is_offered_and_decoded(patch: pytest.MonkeyPatch) -> None:
    """As the libraries of Go, Java and .NET do when nobody says otherwise."""
    read = Peer.read

    async def decoded(self: Peer, reply: Reply) -> Answer:
        answer = await read(self, reply)
        if reply.headers.get("Content-Encoding") != "gzip":
            return answer
        most = self.limits.answer_bytes
        body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(answer.body, most + 1)
        return replace(answer, body=body[:most], cut=answer.cut or len(body) > most)

    more = {"Accept-Encoding": "gzip"}
    for of_mints in (False, True):
        change_headers(patch, lambda headers: {**headers, **more}, of_mints=of_mints)
    patch.setattr(Peer, "read", decoded)


@odd("tracing")
def the_headers_of_a_service_mesh(patch: pytest.MonkeyPatch) -> None:
    """An agent adds them to every request, one without a value."""
    more = {
        "X-Request-Id": "6f1c",
        "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
        "X-Forwarded-For": "",
        "Baggage": "tenant=ü".encode().decode("latin-1"),
        "Priority": "u=3, i",
    }
    for of_mints in (False, True):
        change_headers(patch, lambda headers: {**headers, **more}, of_mints=of_mints)


@odd("content type")
def the_content_type_ends_in_a_blank(patch: pytest.MonkeyPatch) -> None:
    """RFC 9112 section 5: blanks after a value are no part of it."""
    change_content_type(patch, lambda of: f"{of} ")


@odd("handshake")
def a_handshake_in_lower_case(patch: pytest.MonkeyPatch) -> None:
    """RFC 6455 section 4.2.1: these values ignore case."""
    change_handshake(patch, Upgrade="WEBSOCKET", Connection="upgrade")


# -- parts ---------------------------------------------------------------------------------------

_NAMES = b'form-data; name="payload"; filename="package.tar.gz"'


@odd("part parameters")
def the_file_name_stands_before_the_name(patch: pytest.MonkeyPatch) -> None:
    """RFC 2183: the order of parameters has no meaning."""
    changed = b'form-data; filename="package.tar.gz"; name="payload"'
    change_part_heads(patch, lambda head: head.replace(_NAMES, changed))


@odd("part parameters")
def the_file_name_has_no_quotes(patch: pytest.MonkeyPatch) -> None:
    """RFC 2183: a value that is a token needs none."""
    changed = b"form-data; name=payload; filename=package.tar.gz"
    change_part_heads(patch, lambda head: head.replace(_NAMES, changed))


@odd("part parameters")
def no_blanks_between_the_parameters_of_a_part(patch: pytest.MonkeyPatch) -> None:
    change_part_heads(
        patch, lambda head: head.replace(b"data; n", b"data;n").replace(b'"; f', b'";f')
    )


@odd("part type")
def no_blank_after_the_colons_of_a_part(patch: pytest.MonkeyPatch) -> None:
    change_part_heads(patch, lambda head: re.sub(rb"(?m)^(Content-\w+): ", rb"\1:", head))


# -- JSON ----------------------------------------------------------------------------------------

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def without_html(text: str) -> str:
    """The JSON of Go: characters of HTML are escaped."""
    return re.sub("[<>&]", lambda it: _HTML[it[0]], text)


@odd("mint")
def mints_in_the_json_of_go(patch: pytest.MonkeyPatch) -> None:
    """Compact, with members in the order of their names, and UTF-8 outside ASCII."""

    def dumps(request: dict[str, Any]) -> str:
        text = json.dumps(request, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return without_html(text)

    change_mint(patch, dumps)


@odd()
def html_in_json_is_escaped(patch: pytest.MonkeyPatch) -> None:
    change_json(patch, without_html)


@odd("doubles")
def exponents_are_written_in_capitals(patch: pytest.MonkeyPatch) -> None:
    """As Java does: 1e+21 is 1E21."""

    def capital(match: re.Match[str]) -> str:
        found = match[0]
        return found if found[0] == '"' else found.upper().replace("E+", "E")

    change_json(patch, lambda text: _TEXT_OR_NUMBER.sub(capital, text))


_TEXT_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')

# -- chunks --------------------------------------------------------------------------------------


@odd("blocks")
def chunks_of_five_mebibytes(patch: pytest.MonkeyPatch) -> None:
    """As Node with `highWaterMark`, and .NET with a large buffer, send them."""

    def joined(blocks: Iterator[bytes]) -> Iterator[bytes]:
        held = bytearray()
        for block in blocks:
            held += block
            if len(held) >= 5 * MEBIBYTE:
                yield bytes(held)
                held.clear()
        if held:
            yield bytes(held)

    change_blocks(patch, joined)


@odd("first block")
def the_first_bytes_of_the_payload_come_one_by_one(patch: pytest.MonkeyPatch) -> None:
    def split(blocks: Iterator[bytes]) -> Iterator[bytes]:
        left = 40
        for block in blocks:
            few = min(left, len(block))
            yield from (bytes(block[at : at + 1]) for at in range(few))
            if few < len(block):
                yield bytes(block[few:])
            left -= few

    change_blocks(patch, split)


# -- records -------------------------------------------------------------------------------------


@odd()
def failed_records_with_more_of_the_answer(patch: pytest.MonkeyPatch) -> None:
    more = {"error": True, "message": "see the reason", "headers": {"server": None}}
    change_failures(patch, lambda record: {**more, **record})


@odd("words")
def transport_errors_in_another_language(patch: pytest.MonkeyPatch) -> None:
    def translated(record: Record) -> Record:
        if "statusCode" in record or record.get("stage") not in {"connect", "tls"}:
            return record
        kept = str(record["reason"]).startswith("token mint failed: ")
        return {**record, "reason": f"{'token mint failed: ' if kept else ''}Verbindung gestört 🔌"}

    change_failures(patch, translated)
