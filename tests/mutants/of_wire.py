"""Mutants of the bytes: the multipart form and the head of the request."""

from __future__ import annotations

import contextlib
import io
import itertools
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.relay import fanout, formdata
from deploy_relay_kit.relay.formdata import Frame
from deploy_relay_kit.relay.payload import StagedPayload, measure
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import (
    test_faults,
    test_payload,
    test_wire,
)
from tests.mutants.mutant import KEEPS_TO, case, mutant

ANOTHER = case(test_payload.test_a_missing_payload_fails_every_peer_and_sends_nothing)
FORM = test_wire.test_neither_its_size_nor_events_change_the_form_of_an_upload


def change_form(patch: pytest.MonkeyPatch, change: Callable[[Frame], Frame]) -> None:
    """Change every form after the reference has encoded it."""
    encode = formdata.encode
    patch.setattr(formdata, "encode", lambda fields: change(encode(fields)))


def change_head(patch: pytest.MonkeyPatch, old: bytes, new: bytes) -> None:
    change_form(patch, lambda form: replace(form, head=form.head.replace(old, new)))


def change_headers(
    patch: pytest.MonkeyPatch,
    change: Callable[[Mapping[str, str]], Mapping[str, str]],
    *,
    of_mints: bool = False,
) -> None:
    """Change the headers of every upload, or else of every mint over an operations API."""
    exchange = Peer.post

    def changed(self: Peer, headers: Mapping[str, str], *rest: Any) -> Any:
        if ("Authorization" not in headers) is of_mints:
            headers = change(headers)
        return exchange(self, headers, *rest)

    patch.setattr(Peer, "post", changed)


@mutant("WIRE-01", killed_by=case(KEEPS_TO))
def the_boundary_is_quoted(patch: pytest.MonkeyPatch) -> None:
    change_form(
        patch,
        lambda form: replace(form, content_type=form.content_type.replace("=", '="') + '"'),
    )


@mutant("WIRE-02", killed_by=case(test_wire.test_no_two_uploads_share_a_boundary))
def the_boundary_is_always_the_same(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)


@mutant("WIRE-02", killed_by=case(test_wire.test_no_boundary_can_be_guessed_from_others))
def boundaries_are_counted(patch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count(1)
    patch.setattr(secrets, "token_hex", lambda count: f"{next(numbers):0{2 * count}x}")


@mutant("WIRE-02", killed_by=case(test_wire.test_no_boundary_can_be_guessed_from_others))
def boundaries_of_a_deploy_differ_in_their_end(patch: pytest.MonkeyPatch) -> None:
    begins, ends = defaultdict[int, str](partial(secrets.token_hex, 8)), itertools.count(1)
    encode = formdata.encode

    def counted(fields: Mapping[str, object]) -> Frame:
        return encode(fields, f"----HarperMultipart{begins[id(fields)]}{next(ends):08x}")

    patch.setattr(formdata, "encode", counted)


@mutant("WIRE-02", killed_by=case(test_wire.test_no_boundary_tells_the_time))
def boundaries_are_taken_from_the_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(secrets, "token_hex", lambda count: f"{time.time_ns():0{2 * count}}")


@mutant("WIRE-03", killed_by=case(KEEPS_TO))
def the_body_has_a_preamble(patch: pytest.MonkeyPatch) -> None:
    change_form(patch, lambda form: replace(form, head=b"multipart follows\r\n" + form.head))


@mutant("WIRE-03", killed_by=case(KEEPS_TO))
def the_body_has_an_epilogue(patch: pytest.MonkeyPatch) -> None:
    change_form(patch, lambda form: replace(form, tail=form.tail + b"that was all\r\n"))


@mutant("WIRE-04", killed_by=case(KEEPS_TO))
def fields_have_a_type(patch: pytest.MonkeyPatch) -> None:
    change_head(patch, b'"project"\r\n', b'"project"\r\nContent-Type: text/plain\r\n')


@mutant("WIRE-05", killed_by=case(KEEPS_TO))
def the_file_has_another_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "FILENAME", "payload.tar.gz")


@mutant("WIRE-05", killed_by=case(KEEPS_TO))
def the_file_has_the_general_type(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(formdata, "FILE_TYPE", "application/octet-stream")


def announce_length(patch: pytest.MonkeyPatch, longest: int) -> None:
    """Send a body of at most `longest` bytes with its length."""
    exchange = Peer.post

    @contextlib.asynccontextmanager
    async def whole(self: Peer, headers: Any, body: Any, *rest: Any) -> AsyncIterator[Any]:
        if not isinstance(body, bytes):
            blocks, parts, size = aiter(body), list[bytes](), 0
            async for part in blocks:
                parts.append(bytes(part))
                if (size := size + len(part)) > longest:
                    body = aiohttp.AsyncIterablePayload(chained(parts, blocks))
                    break
            else:
                body = io.BytesIO(b"".join(parts))
        async with exchange(self, headers, body, *rest) as response:
            yield response

    patch.setattr(Peer, "post", whole)


async def chained(parts: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    async for part in rest:
        yield part


@mutant("WIRE-13", killed_by=case(KEEPS_TO))
def the_length_is_announced(patch: pytest.MonkeyPatch) -> None:
    announce_length(patch, longest=1 << 40)


@mutant("WIRE-13", killed_by=case(FORM, size=1))
def a_small_upload_is_sent_with_its_length(patch: pytest.MonkeyPatch) -> None:
    announce_length(patch, longest=4_096)


@mutant("WIRE-13", killed_by=case(FORM, size=16_000_000))
def a_large_upload_expects_100_continue(patch: pytest.MonkeyPatch) -> None:
    sizes = [0]

    def measured(path: Path) -> StagedPayload:
        found = measure(path)
        sizes.append(found.size)
        return found

    patch.setattr(fanout, "measure", measured)
    expect = {"Expect": "100-continue"}
    change_headers(patch, lambda it: {**it, **expect} if sizes[-1] > 1_000_000 else it)


@mutant("WIRE-01", killed_by=case(FORM, events=True))
def a_request_for_events_has_another_media_type(patch: pytest.MonkeyPatch) -> None:
    def more(headers: Mapping[str, str]) -> Mapping[str, str]:
        of = f"{headers['Content-Type']}; charset=utf-8"
        return {**headers, "Content-Type": of} if "Accept" in headers else headers

    change_headers(patch, more)


@mutant(
    "HTTP-01",
    killed_by=(
        case(KEEPS_TO),
        case(test_faults.test_a_slow_peer_is_not_given_up),
        case(test_wire.test_the_upload_names_its_host_and_carries_one_bearer_token),
    ),
)
def the_token_has_no_scheme(patch: pytest.MonkeyPatch) -> None:
    change_headers(
        patch,
        lambda headers: {**headers, "Authorization": headers["Authorization"].split()[-1]},
    )


@mutant(
    "HTTP-01",
    killed_by=case(test_wire.test_the_upload_names_its_host_and_carries_one_bearer_token),
)
def the_token_follows_two_spaces(patch: pytest.MonkeyPatch) -> None:
    change_headers(
        patch,
        lambda headers: {
            **headers,
            "Authorization": headers["Authorization"].replace(" ", "  "),
        },
    )


@mutant("HTTP-06", killed_by=case(test_wire.test_an_accept_header_admits_json))
def only_html_is_accepted(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {"Accept": "text/html", **headers})


@mutant(
    "HTTP-02",
    killed_by=case(test_wire.test_host_holds_the_port_when_it_is_not_the_usual_one),
    also={"URL-09": "an IPv6 address is not in Host either"},
)
def host_has_no_port(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda headers: {**headers, "Host": "127.0.0.2"})


@mutant("PARSE-20", killed_by=case(KEEPS_TO))
def a_part_header_has_no_colon(patch: pytest.MonkeyPatch) -> None:
    change_head(patch, b'Disposition: form-data; name="project"', b"Disposition form-data")


@mutant("PARSE-21", killed_by=case(KEEPS_TO))
def lines_end_with_lf_alone(patch: pytest.MonkeyPatch) -> None:
    change_head(patch, b"\r\n", b"\n")


@mutant("PARSE-22", killed_by=case(KEEPS_TO))
def there_is_no_closing_delimiter(patch: pytest.MonkeyPatch) -> None:
    change_form(patch, lambda form: replace(form, tail=b"\r\n"))


# -- other headers -------------------------------------------------------------------------------


@mutant("HTTP-06", killed_by=case(test_wire.test_an_accept_header_admits_json))
def a_mint_accepts_html(patch: pytest.MonkeyPatch) -> None:
    change_headers(patch, lambda it: {**it, "Accept": "text/html"}, of_mints=True)
