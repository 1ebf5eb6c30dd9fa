"""Odd but correct relays: how they connect, frame their requests and send the payload."""

from __future__ import annotations

import asyncio
import functools
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp.http_writer
import pytest
from aiohttp.http_writer import StreamWriter

from deploy_relay_kit.relay import formdata
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.link import Streamed
from deploy_relay_kit.relay.upload import _Sending
from tests.mutants.odd import change_content_type, odd
from tests.mutants.of_sending import change_blocks
from tests.mutants.of_wire import change_form, change_headers

MEBIBYTE = 1 << 20
_LAST = b"0\r\n\r\n"
_SPLIT = 2_000  # bytes; longer parts, such as blocks of the payload, stay whole

# -- chunks --------------------------------------------------------------------------------------


async def by_aiohttp(self: Streamed, writer: Any, _length: int | None) -> None:
    """Leave the framing of the payload to aiohttp, too."""
    async for part in self._parts:
        await writer.write(bytes(part))


def change_framing(
    patch: pytest.MonkeyPatch, length: Callable[[int], bytes], last: bytes = _LAST
) -> None:
    """Spell the lengths of chunks, and the last chunk, in another way."""
    write, with_head = StreamWriter._write, StreamWriter._send_headers_with_payload

    def framed(self: StreamWriter, chunk: Any) -> None:
        self._writelines((length(len(chunk)) + b"\r\n", chunk, b"\r\n"))

    def headed(self: StreamWriter, chunk: Any, is_eof: bool) -> None:  # noqa: FBT001
        if not self.chunked or is_eof or not chunk:
            with_head(self, chunk, is_eof)
            return
        with_head(self, b"", False)  # noqa: FBT003
        self._write_chunked_payload(chunk)

    def written(self: StreamWriter, data: Any) -> None:
        write(self, last if self.chunked and data == _LAST else data)

    patch.setattr(Streamed, "write_with_length", by_aiohttp)
    patch.setattr(StreamWriter, "_write_chunked_payload", framed)
    patch.setattr(StreamWriter, "_send_headers_with_payload", headed)
    patch.setattr(StreamWriter, "_write", written)


def change_parts(
    patch: pytest.MonkeyPatch, change: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
) -> None:
    """Cut the body into other chunks; its parts are the fields, the blocks, and the end."""
    parts = _Sending._parts

    async def copied(self: _Sending) -> AsyncIterator[bytes]:
        async for part in parts(self):
            yield bytes(part)

    patch.setattr(_Sending, "_parts", lambda self: change(copied(self)))


@odd("framing")
def lengths_of_chunks_with_zeros_and_capitals(patch: pytest.MonkeyPatch) -> None:
    """RFC 9112 section 7.1: a length is 1*HEXDIG, which ignores case."""
    change_framing(patch, lambda length: b"%08X" % length)


@odd("framing")
def a_last_chunk_of_several_zeros(patch: pytest.MonkeyPatch) -> None:
    """RFC 9112 section 7.1: the last chunk has any number of zeros."""
    change_framing(patch, lambda length: b"%x" % length, b"0000\r\n\r\n")


@odd("parts")
def a_chunk_for_each_byte_around_the_payload(patch: pytest.MonkeyPatch) -> None:
    async def bytewise(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in parts:
            if len(part) > _SPLIT:
                yield part
            else:
                for at in range(len(part)):
                    yield part[at : at + 1]

    change_parts(patch, bytewise)


@odd("blocks")
def chunks_of_growing_prime_lengths(patch: pytest.MonkeyPatch) -> None:
    def growing(blocks: Iterator[bytes]) -> Iterator[bytes]:
        size = 7
        for block in blocks:
            at = 0
            while at < len(block):
                yield bytes(block[at : at + size])
                at, size = at + size, min(2 * size + 1, 65_537)

    change_blocks(patch, growing)


@odd("parts", "blocks")
def a_small_upload_in_one_chunk(patch: pytest.MonkeyPatch) -> None:
    """Fields, payload and closing delimiter leave together, unless they are large."""

    async def together(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        held = b""
        async for part in parts:
            held += part
            if len(held) > MEBIBYTE // 2:
                yield held
                held = b""
        if held:
            yield held

    change_parts(patch, together)


@odd("framing")
def writes_of_a_hundred_bytes(patch: pytest.MonkeyPatch) -> None:
    """Heads and small bodies leave in many small writes."""
    write = StreamWriter._write

    def pieces(self: StreamWriter, data: Any) -> None:
        size = 100 if len(data) <= _SPLIT else len(data)
        for at in range(0, len(data), size):
            write(self, data[at : at + size])

    def joined(self: StreamWriter, chunks: Any) -> None:
        for chunk in chunks:
            pieces(self, chunk)

    patch.setattr(Streamed, "write_with_length", by_aiohttp)
    patch.setattr(StreamWriter, "_write", pieces)
    patch.setattr(StreamWriter, "_writelines", joined)


# -- heads ---------------------------------------------------------------------------------------


def change_lines(patch: pytest.MonkeyPatch, line: Callable[[str, str], str]) -> None:
    """Write each header line of every request in another way."""

    def serialized(start: str, headers: Any) -> bytes:
        lines = [line(name, value) for name, value in headers.items()]
        return "\r\n".join([start, *lines, "", ""]).encode()

    patch.setattr(aiohttp.http_writer, "_serialize_headers", serialized)


@odd("header lines")
def no_space_after_the_colon_of_a_header(patch: pytest.MonkeyPatch) -> None:
    """RFC 9112 section 5: the space is optional."""
    change_lines(patch, lambda name, value: f"{name}:{value}")


@odd("header lines")
def blanks_around_the_value_of_a_header(patch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 5.5: they are no part of it. nginx takes a tab there for a part."""
    change_lines(patch, lambda name, value: f"{name}:  {value}  ")


@odd("header lines")
def transfer_codings_in_capitals(patch: pytest.MonkeyPatch) -> None:
    """RFC 9112 section 7: the names of transfer codings ignore case."""

    def capital(name: str, value: str) -> str:
        return f"{name}: {value.title() if name.lower() == 'transfer-encoding' else value}"

    change_lines(patch, capital)


@odd("content type")
def no_space_before_the_boundary(patch: pytest.MonkeyPatch) -> None:
    """RFC 9110 section 5.6.6: the blanks around a semicolon are optional."""
    change_content_type(patch, lambda of: of.replace("; ", ";"))


@odd("content type")
def blanks_around_a_semicolon(patch: pytest.MonkeyPatch) -> None:
    change_content_type(patch, lambda of: of.replace("; ", " ;  "))


@odd("accept", "accept-encoding", "connection header")
def the_headers_of_a_browser(patch: pytest.MonkeyPatch) -> None:
    """Headers that many clients send, whether anyone wants them or not."""
    more = {
        "User-Agent": f"odd/1.0 ({'x' * 2_000})",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Accept-Language": "de, en;q=0.5",
        "Cache-Control": "no-cache",
        "Connection": "keep-alive",
        "Origin": "null",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    for of_mints in (False, True):
        change_headers(patch, lambda headers: {**more, **headers}, of_mints=of_mints)


@odd("boundary")
def boundaries_with_every_character_that_needs_no_quotes(patch: pytest.MonkeyPatch) -> None:
    """RFC 2046 section 5.1.1, without the characters that RFC 2045 puts in quotes."""
    patch.setattr(formdata, "BOUNDARY_PREFIX", "'+_.-")


@odd("boundary", "parts")
def boundaries_of_hyphens_and_capitals(patch: pytest.MonkeyPatch) -> None:
    def capital(form: formdata.Frame) -> formdata.Frame:
        found = re.search("boundary=(.*)", form.content_type)
        assert found
        old, new = found[1].encode(), f"{found[1].upper()}--".encode()
        head, tail = (text.replace(old, new) for text in (form.head, form.tail))
        return formdata.Frame(form.content_type.replace(old.decode(), new.decode()), head, tail)

    change_form(patch, capital)


@odd("connection header", "early")
def an_upload_that_is_answered_early_ends_when_it_stalls(patch: pytest.MonkeyPatch) -> None:
    """After `Connection: close`, a peer that answers early takes no more of the upload."""
    outcome = _Sending.outcome
    change_headers(patch, lambda headers: {**headers, "Connection": "close"})

    async def patient(self: _Sending) -> dict[str, object]:
        try:
            return await outcome(self)
        except PeerError as error:
            if "success before the upload finished" in error.reason:
                await asyncio.sleep(self.peer.limits.stall)
            raise

    patch.setattr(_Sending, "outcome", patient)


# -- parts ---------------------------------------------------------------------------------------


def change_part_heads(patch: pytest.MonkeyPatch, change: Callable[[bytes], bytes]) -> None:
    """Change the header lines of all parts, and nothing in the values of fields."""
    delimiter = re.compile(rb"(?:^|\r\n)(--[^\r\n]+\r\n)(.*?\r\n\r\n)", re.DOTALL)

    def changed(form: formdata.Frame) -> formdata.Frame:
        mark = b"--" + form.content_type.partition("=")[2].encode()

        def one(match: re.Match[bytes]) -> bytes:
            is_part = match[1].rstrip() == mark
            return match[0].replace(match[2], change(match[2])) if is_part else match[0]

        return formdata.Frame(form.content_type, delimiter.sub(one, form.head), form.tail)

    change_form(patch, changed)


@odd("part heads")
def headers_of_parts_in_lower_case(patch: pytest.MonkeyPatch) -> None:
    """RFC 2045 section 1 and RFC 5322: the names of header fields ignore case."""
    names = (b"Content-Disposition", b"Content-Type")

    def lower(head: bytes) -> bytes:
        return functools.reduce(lambda text, name: text.replace(name, name.lower(), 1), names, head)

    change_part_heads(patch, lower)


@odd("part heads")
def the_type_of_the_file_stands_first(patch: pytest.MonkeyPatch) -> None:
    """The order of header fields has no meaning."""

    def swapped(head: bytes) -> bytes:
        lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        return b"\r\n".join(reversed(lines)) + b"\r\n\r\n"

    change_part_heads(patch, swapped)


# -- values --------------------------------------------------------------------------------------


def change_json(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change the JSON of the values of fields."""
    before = vars(formdata)["json"]

    def dumps(value: object, **how: Any) -> str:
        return change(str(before.dumps(value, **how)))

    patch.setattr(formdata, "json", SimpleNamespace(dumps=dumps))


@odd()
def slashes_in_json_are_escaped(patch: pytest.MonkeyPatch) -> None:
    """As PHP does (RFC 8259 section 7)."""
    change_json(patch, lambda text: text.replace("/", "\\/"))


@odd()
def controls_in_json_are_spelled_in_hexadecimal(patch: pytest.MonkeyPatch) -> None:
    def spelled(text: str) -> str:
        return re.sub(r"\\\\|\\n|\\t", lambda it: _HEXADECIMAL.get(it[0], it[0]), text)

    change_json(patch, spelled)


_HEXADECIMAL = {"\\n": "\\u000A", "\\t": "\\u0009"}


@odd("doubles")
def whole_doubles_are_written_as_integers(patch: pytest.MonkeyPatch) -> None:
    """As JavaScript does: 1.0 is 1."""

    def whole(value: object) -> object:
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            return int(value) if abs(value) < 1e15 else value
        if isinstance(value, dict):
            return {name: whole(it) for name, it in value.items()}
        return [whole(it) for it in value] if isinstance(value, list | tuple) else value

    before = vars(formdata)["json"]

    def dumps(value: object, **how: Any) -> str:
        return str(before.dumps(whole(value), **how))

    patch.setattr(formdata, "json", SimpleNamespace(dumps=dumps))
