"""Mutants that take what is nearly an answer, a number or JSON for a whole or a right one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from deploy_relay_kit.harness import Answer as Answered
from deploy_relay_kit.harness import ContentLengthOff, MintAnswer
from deploy_relay_kit.relay import answer, formdata, request
from deploy_relay_kit.relay.answer import Answer
from deploy_relay_kit.relay.errors import InputError, PeerError
from deploy_relay_kit.relay.link import Reply
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import (
    test_answers_framing,
    test_members,
    test_mint_failures,
    test_reading,
    test_values,
)
from tests.mutants.mutant import alike, case, mutant

# -- half of an answer ---------------------------------------------------------------------------

HALF = case(test_answers_framing.test_an_answer_that_breaks_off_is_a_failed_record)


def forgive(patch: pytest.MonkeyPatch, forgives: Callable[[Reply, bytes], bool]) -> None:
    """Take what has come of some answers that break off for the whole answer."""
    read = Peer.read

    async def lenient(self: Peer, reply: Reply) -> Answer:
        seen = bytearray()
        step = Reply.__anext__

        class Watched(Reply):
            async def __anext__(self) -> bytes:
                try:
                    block = await step(self)
                except (aiohttp.ClientError, PeerError):
                    if forgives(self, bytes(seen)):
                        raise StopAsyncIteration from None
                    raise
                seen.extend(block)
                return block

        reply.__class__ = Watched
        return await read(self, reply)

    patch.setattr(Peer, "read", lenient)


def missing(reply: Reply, seen: bytes) -> int:
    return int(reply.headers.get("Content-Length", len(seen))) - len(seen)


alike(
    forgive,
    "RES-12",
    killed_by=HALF,
    a_byte_less_than_the_length_is_enough=lambda reply, seen: 0 < missing(reply, seen) < 3,
    an_answer_201_may_break_off=lambda reply, _: reply.status not in (200, 500),
)
alike(
    forgive,
    "SEQ-06",
    killed_by=case(
        test_mint_failures.test_a_mint_without_a_whole_answer_fails_the_peer_without_an_upload,
        fault=MintAnswer(
            ContentLengthOff(Answered(json={"results": {"operation_token": "cut"}}), by=1)
        ),
    ),
    a_token_in_half_an_answer_is_used=lambda _, seen: b'"results"' in seen,
)

# -- JSON -----------------------------------------------------------------------------------------

RAW = case(test_reading.test_a_text_of_a_success_is_its_message)


def take_for_json(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Read texts that are no JSON as if they were."""
    parse = answer.parse_json
    patch.setattr(answer, "parse_json", lambda text: parse(change(text)))


alike(
    take_for_json,
    "RES-03",
    killed_by=RAW,
    half_without_its_zero_is_a_number=lambda it: re.sub(r"^(-?)\.(\d)", r"\g<1>0.\2", it),
    digits_with_underscores_are_a_number=lambda it: (
        it.replace("_", "") if re.fullmatch(r"\d+(_\d+)+", it) else it
    ),
    nan_in_small_letters_is_a_value=lambda it: "null" if it in ("nan", "-inf") else it,
    the_first_of_two_lists_is_read=lambda it: re.sub(r"^(\[[^\[\]]*\]) \[.*$", r"\1", it),
)

# -- requests -------------------------------------------------------------------------------------


def refuse_projects(patch: pytest.MonkeyPatch, is_bad: Callable[[str], bool]) -> None:
    """Refuse some projects that a peer reads as texts."""
    check = request._check_project

    def checked(fields: Any) -> None:
        if is_bad(str(fields.get("project", "demo"))):
            raise InputError("the project is a number")
        check(fields)

    patch.setattr(request, "_check_project", checked)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


alike(
    refuse_projects,
    "FLD-04",
    killed_by=case(test_members.test_a_project_that_only_begins_like_json_is_sent),
    no_project_is_a_number_of_python=is_number,
    no_project_is_a_hexadecimal_number=lambda it: re.fullmatch(r"0x[0-9a-f]+", it) is not None,
)


@mutant("WIRE-06", killed_by=case(test_values.test_any_other_value_is_forwarded_as_compact_json))
def invisible_characters_are_escaped_in_json(patch: pytest.MonkeyPatch) -> None:
    write = json.dumps

    def escaped(value: Any, **how: Any) -> str:
        hidden = re.compile("[\x80-\xa0\xad\u200b\ufeff]")
        return hidden.sub(lambda it: f"\\u{ord(it[0]):04x}", write(value, **how))

    patch.setattr(formdata, "json", SimpleNamespace(dumps=escaped))
