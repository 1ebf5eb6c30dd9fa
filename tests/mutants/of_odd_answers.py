"""Mutants that read lawful answers wrongly: heads, JSON, members, events and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.relay import answer, peer, upload
from deploy_relay_kit.relay.answer import Answer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.link import Link, Reply
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_mint_forms,
    test_reading,
)
from tests.mutants.mutant import Case, alike, case, mutant
from tests.mutants.of_streams import fail_at

# -- HTTP ----------------------------------------------------------------------------------------


def refuse_heads(patch: pytest.MonkeyPatch, pattern: bytes) -> None:
    """Break off at an answer with something that is lawful in HTTP."""
    received, unlawful = Link.data_received, re.compile(pattern, re.MULTILINE)

    def strict(self: Link, data: bytes) -> None:
        if self.failure is None and unlawful.search(data):
            self.failure = PeerError("answer", "the answer is not HTTP")
            self._transport.abort()
        else:
            received(self, data)

    patch.setattr(Link, "data_received", strict)


def form(name: str) -> Case:
    read = test_answers_framing.test_an_answer_is_read_in_every_form_of_http
    return case(read, wire=test_answers_framing.FORMS[name])


alike(
    refuse_heads,
    "HTTP-05",
    killed_by=form("names-and-values-of-every-kind"),
    names_of_headers_have_letters_and_hyphens=rb"^[\w-]*[._!*][\w.!*-]*:",
    values_of_headers_have_no_quotes=rb'^[\w-]+: "',
    an_upgrade_that_is_offered_is_one=rb"^Upgrade:",
    a_line_of_a_head_has_four_kibibytes=rb"^[\w-]+: [^\n]{4096}",
    words_of_a_status_are_ascii=rb"^HTTP/1.1 \d+ [^\n]*[\x80-\xff]",
    a_length_has_no_first_zeros=rb"^Content-Length: 0\d",
)
alike(
    refuse_heads,
    "HTTP-05",
    killed_by=form("two-trailers"),
    there_is_one_trailer=rb"^0\r\n[\w-]+:[^\n]*\n[\w-]+:",
)
alike(
    refuse_heads,
    "HTTP-05",
    killed_by=form("interim-answers-with-headers"),
    interim_answers_have_no_headers=rb"^HTTP/1.1 1\d\d[^\n]*\n[^\r]",
    interim_answers_have_words=rb"^HTTP/1.1 1\d\d ?\r\n",
    the_last_interim_answer_is_known=rb"^HTTP/1.1 1(0[4-9]|[1-9]\d)",
)


@mutant(
    "EARLY-10",
    killed_by=case(test_answers_framing.test_interim_answers_are_skipped, interim=(103,) * 20),
)
def eight_interim_answers_are_enough(patch: pytest.MonkeyPatch) -> None:
    refuse_heads(patch, rb"(HTTP/1.1 1\d\d[^\n]*\n\r\n){9}")


@mutant(
    "HTTP-05", killed_by=case(test_answers.test_the_status_of_an_answer_with_any_coding_decides)
)
def an_unknown_coding_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    read = Peer.read

    async def strict(self: Peer, reply: Reply) -> Answer:
        coding = reply.headers.get("Content-Encoding", "gzip").lower()
        if reply.status in answer.SUCCESS and coding not in {"gzip", "br", "identity"}:
            raise PeerError("answer", "the coding is unknown")
        return await read(self, reply)

    patch.setattr(Peer, "read", strict)


# -- JSON ----------------------------------------------------------------------------------------


def parse(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change a body before its JSON is read."""
    read = answer.parse_json
    patch.setattr(answer, "parse_json", lambda text: read(change(text)))


alike(
    parse,
    "RES-03",
    killed_by=case(test_reading.test_a_text_of_a_success_is_its_message),
    a_nul_after_json_is_removed=lambda it: it.rstrip("\0"),
    a_semicolon_after_json_is_removed=lambda it: it.removesuffix(";"),
    a_mark_after_json_is_removed=lambda it: it.rstrip("\ufeff"),
    the_number_that_is_none_is_null=lambda it: "null" if it == "NaN" else it,
    infinity_is_null=lambda it: "null" if it.lstrip("-") == "Infinity" else it,
    undefined_is_null=lambda it: "null" if it == "undefined" else it,
)
alike(
    parse,
    "RES-01",
    killed_by=case(test_reading.test_an_object_is_read_in_every_layout),
    a_slash_needs_no_escape=lambda it: it.replace("\\/", "\\x"),
    rare_escapes_are_not_read=lambda it: re.sub(r"\\[bf]", r"\\x", it),
    escapes_have_no_capitals=lambda it: re.sub(r"\\u00E9", r"\\x", it),
    exponents_have_no_capitals=lambda it: re.sub(r"(?<=\[1)E(?=2)", "x", it),
    exponents_have_no_plus=lambda it: it.replace("e+", "x"),
    zero_has_no_sign=lambda it: re.sub(r"-0(?=,)", "x", it),
    integers_have_19_digits=lambda it: re.sub(r"(?<=\d{19})\d", "x", it),
    delete_is_no_character=lambda it: it.replace("\x7f", "\n"),
)

# -- members -------------------------------------------------------------------------------------


def change_members(patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Any]) -> None:
    members = answer._members
    patch.setattr(answer, "_members", lambda value, text: change(members(value, text)))


def fail_if(patch: pytest.MonkeyPatch, is_bad: Callable[[Any], object]) -> None:
    """Fail a success because of its members."""

    def strict(given: Answer) -> dict[str, object]:
        if is_bad(members := answer.success_members(given)):
            raise PeerError("answer", "the peer failed", status_code=given.status)
        return members

    patch.setattr(peer, "success_members", strict)
    patch.setattr(upload, "success_members", strict)


WHATEVER = test_reading.test_an_object_of_a_success_is_kept_whatever_it_says
alike(
    change_members,
    *("RES-01", "SSE-09"),
    killed_by=(case(WHATEVER, events=False), case(WHATEVER, events=True)),
    a_message_is_printed=lambda it: {n: str(v) if n == "message" else v for n, v in it.items()},
    a_message_of_null_is_lost=lambda it: {
        n: v for n, v in it.items() if (n, v) != ("message", None)
    },
    an_error_of_null_is_lost=lambda it: {n: v for n, v in it.items() if (n, v) != ("error", None)},
    an_error_that_is_false_is_lost=lambda it: {n: v for n, v in it.items() if n != "error" or v},
    an_id_of_a_deployment_is_a_text=lambda it: {
        n: str(v) if n == "deployment_id" else v for n, v in it.items()
    },
    own_members_inside_are_lost=lambda it: {
        n: {a: b for a, b in v.items() if a != "status"} if isinstance(v, dict) else v
        for n, v in it.items()
    },
)
alike(
    fail_if,
    "RES-14",
    killed_by=case(WHATEVER, events=False),
    an_error_that_is_an_object_is_a_failure=lambda it: isinstance(it.get("error"), dict),
    success_that_is_false_is_a_failure=lambda it: it.get("success") is False,
    a_peer_of_the_peer_that_failed_is_a_failure=lambda it: it.get("failed_peers"),
    a_code_of_500_is_a_failure=lambda it: it.get("code") == 500,
)
alike(
    fail_at,
    "RES-14",
    killed_by=case(WHATEVER, events=True),
    done_with_an_error_is_a_failure=lambda name, text: name == "done" and '"error":{' in text,
    done_with_failed_is_a_failure=lambda name, text: name == "done" and '"failed"' in text,
)

# -- refusals and mints --------------------------------------------------------------------------


def of_refusals(patch: pytest.MonkeyPatch, pattern: bytes) -> None:
    """Break off at a refusal in a form that a success may have."""
    refuse_heads(patch, rb"\AHTTP/1\.\d [45](?s:.*)" + pattern)


def of_mints(patch: pytest.MonkeyPatch, pattern: bytes) -> None:
    """Break off at the answer of a mint in a form that the answer of an upload may have."""
    refuse_heads(patch, pattern + rb"(?s:.*)operation_token")


alike(
    of_refusals,
    "RES-05",
    killed_by=form("extension-and-trailer"),
    chunks_of_refusals_have_no_extension=rb"\n[0-9a-f]+;",
    refusals_have_no_trailer=rb"^0+\r\n[\w-]+:",
)
alike(
    of_refusals,
    "RES-05",
    killed_by=form("long-head"),
    heads_of_refusals_have_short_lines=rb"^[\w-]+: [^\n]{2048}",
)
alike(
    of_refusals,
    "RES-05",
    killed_by=form("length-in-capitals"),
    lengths_in_refusals_have_no_capitals=rb"^[A-F]\r\n",
)
alike(
    of_mints,
    "MINT-02",
    killed_by=form("http-1.0"),
    a_mint_is_answered_with_http_1_1=rb"\AHTTP/1\.0",
)
alike(
    of_mints,
    "MINT-02",
    killed_by=form("two-trailers"),
    a_mint_is_answered_with_a_length=rb"^Transfer-Encoding: chunked",
)
alike(
    of_mints,
    "MINT-02",
    killed_by=form("interim-answers-with-headers"),
    a_mint_has_no_interim_answer=rb"\AHTTP/1.1 1",
)


def strict_mints(patch: pytest.MonkeyPatch, pattern: str) -> None:
    """Fail a mint whose answer has something that JSON allows."""
    read = Peer.read

    async def strict(self: Peer, reply: Reply) -> Answer:
        given = await read(self, reply)
        if "_token" in given.text and re.search(pattern, given.text, re.DOTALL):
            raise PeerError("mint", "the answer is not JSON")
        return given

    patch.setattr(Peer, "read", strict)


alike(
    strict_mints,
    "MINT-02",
    killed_by=case(test_mint_forms.test_a_token_is_found_beside_any_other_members),
    a_mint_is_ascii="[^\0-\x7f]",
    a_mint_has_no_escapes=r"\\u00",
    a_mint_has_32_kibibytes=".{32768}",
    a_mint_has_16_levels=r"(\[\s*){16}",
)


@mutant(
    "RES-12", killed_by=case(test_answers_framing.test_an_answer_that_breaks_off_is_a_failed_record)
)
def a_long_answer_may_lack_its_end(patch: pytest.MonkeyPatch) -> None:
    following, read = Reply.__anext__, dict[int, int]()

    async def lenient(self: Reply) -> bytes:
        try:
            block = await following(self)
        except aiohttp.ClientError:
            if self.status in answer.SUCCESS and read.get(id(self), 0) > 4_096:
                raise StopAsyncIteration from None
            raise
        read[id(self)] = read.get(id(self), 0) + len(block)
        return block

    patch.setattr(Reply, "__anext__", lenient)
