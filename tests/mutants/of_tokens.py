"""Mutants of the token of a mint, and of the record of a mint that fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from deploy_relay_kit.relay import token as tokens
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.token import token_in
from tests.conformance import (
    test_mint_forms,
    test_tls,
)
from tests.mutants.mutant import alike, case
from tests.mutants.of_attempts import change_mint_failure

TOKEN = case(test_mint_forms.test_every_token_is_used_as_it_is)
REFUSAL = case(test_mint_forms.test_a_refused_mint_has_the_reason_and_the_status_of_its_answer)
BLANKS = case(test_mint_forms.test_no_token_is_changed_until_it_fits)


def accept_also(patch: pytest.MonkeyPatch, change: Callable[[str], str | None]) -> None:
    """Use tokens that the reference refuses, as this function makes them."""
    fits = tokens.fits_a_header

    def lenient(given: object) -> str:
        for holder in (given, given.get("results") if isinstance(given, dict) else None):
            token = holder.get("operation_token") if isinstance(holder, dict) else None
            made = change(token) if isinstance(token, str) else None
            if made and fits(made):
                return made
        return token_in(given)

    patch.setattr(tokens, "token_in", lenient)
    patch.setattr("deploy_relay_kit.relay.peer.fits_a_header", lambda _: True)


def accept_as_it_is(patch: pytest.MonkeyPatch, change: Callable[[str], str | None]) -> None:
    """Use tokens as they are where this function returns them."""
    fits = tokens.fits_a_header
    patch.setattr(
        tokens, "fits_a_header", lambda it: fits(it) or (isinstance(it, str) and bool(change(it)))
    )
    patch.setattr("deploy_relay_kit.relay.peer.fits_a_header", tokens.fits_a_header)


alike(
    accept_as_it_is,
    *("BUG-35", "HTTP-01"),
    killed_by=BLANKS,
    a_token_may_have_a_blank_inside=lambda it: it if " " in it.strip() else None,
    a_token_may_have_a_tab=lambda it: it if "\t" in it else None,
    a_token_may_be_latin_1=lambda it: it if re.fullmatch("[!-~\xa0-\xff]+", it) else None,
)
alike(
    accept_as_it_is,
    "BUG-35",
    killed_by=BLANKS,
    a_token_may_begin_with_a_blank=lambda it: it if it.startswith(" ") else None,
)
alike(
    accept_also,
    "BUG-35",
    killed_by=BLANKS,
    a_token_is_trimmed=str.strip,
    a_token_loses_its_line_end=lambda it: it.rstrip("\r\n"),
    a_token_loses_its_first_blanks=str.lstrip,
    a_token_is_ascii_in_part=lambda it: it.encode("ascii", "ignore").decode(),
    a_token_ends_at_a_blank=lambda it: it.partition(" ")[0],
    a_token_is_its_first_line=lambda it: (it.splitlines() or [""])[0],
    a_token_loses_its_controls=lambda it: re.sub(r"[\0-\x1f\x7f]", "", it),
    a_token_loses_its_quotes=lambda it: it.strip('" '),
    a_token_loses_its_scheme=lambda it: it.removeprefix("Bearer "),
)


def refuse_token(patch: pytest.MonkeyPatch, is_bad: Callable[[str], bool]) -> None:
    """Refuse tokens that are right."""

    def strict(given: object) -> str:
        token = token_in(given)
        if is_bad(token):
            raise PeerError("mint", "peer did not return an operation_token")
        return token

    patch.setattr(tokens, "token_in", strict)


def change_token(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    patch.setattr(tokens, "token_in", lambda given: change(token_in(given)))


alike(
    refuse_token,
    "MINT-02",
    killed_by=TOKEN,
    a_token_has_letters_and_dots=lambda it: re.fullmatch(r"[\w.-]+", it) is None,
    a_token_is_base64=lambda it: re.fullmatch(r"[\w.~+/=-]+", it) is None,
    a_token_has_fewer_than_1024_characters=lambda it: len(it) >= 1_024,
    a_token_has_fewer_than_4096_characters=lambda it: len(it) >= 4_096,
    a_token_has_at_least_eight_characters=lambda it: len(it) < 8,
    a_token_has_three_parts=lambda it: it.count(".") != 2,
    a_token_begins_with_ey=lambda it: not it.startswith("ey"),
)
alike(
    change_token,
    "MINT-02",
    killed_by=TOKEN,
    a_token_is_percent_encoded=lambda it: quote(it, safe="-._~+/="),
    a_token_is_percent_decoded=lambda it: it.replace("%41", "A"),
    a_token_has_1024_characters=lambda it: it[:1_024],
    a_token_has_2048_characters=lambda it: it[:2_048],
    a_token_has_8000_characters=lambda it: it[:8_000],
    a_token_loses_its_padding=lambda it: it.rstrip("="),
    a_token_has_no_quotes=lambda it: it.replace('"', ""),
    a_token_has_no_backslash=lambda it: it.replace("\\", ""),
    a_token_ends_at_a_comma=lambda it: it.partition(",")[0],
    a_token_ends_at_a_semicolon=lambda it: it.partition(";")[0],
    a_token_is_in_small_letters=str.lower,
)

# -- the record ----------------------------------------------------------------------------------


def set_code(code: int | None) -> Callable[[PeerError], None]:
    return lambda failed: setattr(failed, "status_code", code)


def reword(change: Callable[[str], str]) -> Callable[[PeerError], None]:
    return lambda failed: setattr(failed, "reason", change(failed.reason))


PREFIX = "token mint failed: "

alike(
    change_mint_failure,
    "SEQ-06",
    killed_by=REFUSAL,
    also={
        "a_refused_mint_has_its_status_in_its_reason": {
            "MINT-03": "a mint without a token counts as refused"
        },
        "a_refused_mint_has_no_reason": {
            "WS-05": "neither has a mint over a socket that is closed with a reason"
        },
    },
    a_refused_mint_has_no_prefix=reword(lambda it: it.removeprefix(PREFIX)),
    a_refused_mint_has_two_prefixes=reword(lambda it: PREFIX + it),
    a_refused_mint_has_another_prefix=reword(lambda it: it.replace(PREFIX, "mint failed: ")),
    a_refused_mint_has_a_capital=reword(lambda it: it.replace("token", "Token", 1)),
    a_refused_mint_has_no_blank_after_the_colon=reword(lambda it: it.replace(": ", ":", 1)),
    a_refused_mint_has_no_reason=reword(lambda it: it[: len(PREFIX)] + "refused"),
    a_refused_mint_has_200_characters=reword(lambda it: it[:200]),
    a_refused_mint_has_its_status_in_its_reason=reword(
        lambda it: it.replace(PREFIX, f"{PREFIX}HTTP 401: ")
    ),
    a_refused_mint_has_no_status=set_code(None),
)
alike(
    change_mint_failure,
    "RES-10",
    killed_by=case(test_tls.test_a_flawed_certificate_is_refused_before_a_request),
    a_mint_without_a_token_has_200=lambda failed: setattr(
        failed, "status_code", failed.status_code or 200
    ),
    every_failed_mint_has_401=set_code(401),
    a_lost_mint_has_502=lambda failed: setattr(failed, "status_code", failed.status_code or 502),
)
