"""Mutants of the mint over an operations API: its request and its answer."""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from deploy_relay_kit.relay import token as tokens
from deploy_relay_kit.relay.answer import SUCCESS, Answer
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.token import token_in
from tests.conformance import (
    test_mint_forms,
    test_token,
)
from tests.mutants.mutant import alike, case
from tests.mutants.of_minting import change_request

LOGIN = case(test_mint_forms.test_every_login_reaches_its_node)
REFUSAL = case(test_mint_forms.test_a_refused_mint_has_the_reason_and_the_status_of_its_answer)

# -- the request ---------------------------------------------------------------------------------


def change_login(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Change the user name and the password of every mint."""
    change_request(
        patch,
        lambda it: {n: change(v) if n in ("username", "password") else v for n, v in it.items()},
    )


def change_password(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    change_request(
        patch, lambda it: {n: change(v) if n == "password" else v for n, v in it.items()}
    )


alike(
    change_login,
    "MINT-11",
    killed_by=LOGIN,
    a_login_is_trimmed=str.strip,
    a_login_is_composed=lambda it: unicodedata.normalize("NFC", it),
    a_login_is_ascii=lambda it: it.encode("ascii", "ignore").decode(),
    a_login_is_percent_encoded=quote,
    a_login_has_no_backslash=lambda it: it.replace("\\", ""),
    a_login_has_escaped_quotes=lambda it: it.replace('"', '\\"'),
    a_login_is_escaped_for_html=lambda it: it.replace('"', "&quot;"),
    a_login_has_no_dollar=lambda it: re.sub(r"\$\w*", "", it),
    a_login_ends_at_a_colon=lambda it: it.partition(":")[0],
    a_login_ends_at_a_line_end=lambda it: it.partition("\n")[0],
    a_login_ends_at_a_blank=lambda it: it.partition(" ")[0],
    a_login_ends_at_a_hash=lambda it: it.partition("#")[0],
    a_login_ends_at_an_at_sign=lambda it: it.partition("@")[0],
)
alike(
    change_password,
    "MINT-11",
    killed_by=LOGIN,
    a_password_has_32_characters=lambda it: it[:32],
    a_password_has_72_bytes=lambda it: it.encode()[:72].decode("utf-8", "ignore"),
    a_password_is_decoded=lambda it: it.replace("%20", " "),
    a_password_in_quotes_loses_them=lambda it: it.strip("\"'"),
    a_password_is_a_number_if_it_can=lambda it: it.lstrip("0") or it,
)


def add(more: dict[str, object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda it: {**it, **more} if "operation" in it else it


alike(
    change_request,
    "MINT-01",
    killed_by=case(test_token.test_the_mint_asks_for_an_operation_token_without_a_role),
    the_mint_has_a_role_of_null=add({"role": None}),
    the_mint_has_an_empty_role=add({"role": ""}),
)


alike(
    change_request,
    "MINT-01",
    killed_by=case(test_token.test_a_real_peer_takes_the_mint),
    the_mint_is_a_login=add({"operation": "login"}),
    the_mint_creates_one_token=add({"operation": "create_authentication_token"}),
    the_mint_refreshes=add({"operation": "refresh_operation_token"}),
    the_operation_of_the_mint_is_in_capitals=add({"operation": "CREATE_AUTHENTICATION_TOKENS"}),
)


def by_basic(patch: pytest.MonkeyPatch, pair: Callable[[str, str], bytes]) -> None:
    """Log in with Basic, in this form."""
    exchange = Peer.post

    def basic(self: Peer, headers: Any, body: Any, *more: Any) -> Any:
        if isinstance(body, bytes) and b"password" in body:
            request = json.loads(body)
            login = pair(request.pop("username"), request.pop("password"))
            headers = {**headers, "Authorization": f"Basic {base64.b64encode(login).decode()}"}
            body = json.dumps(request).encode()
        return exchange(self, headers, body, *more)

    patch.setattr(Peer, "post", basic)


alike(
    by_basic,
    "MINT-11",
    killed_by=LOGIN,
    basic_is_latin_1=lambda name, word: f"{name}:{word}".encode("latin-1", "replace"),
    basic_is_percent_encoded=lambda name, word: f"{quote(name)}:{quote(word)}".encode(),
    basic_has_no_password=lambda name, _: f"{name}:".encode(),
    basic_ends_with_a_line_break=lambda name, word: f"{name}:{word}\n".encode(),
)

# -- the answer ----------------------------------------------------------------------------------


def find_also(patch: pytest.MonkeyPatch, find: Callable[[Any], Any]) -> None:
    """Find a token where the reference finds none."""

    def lenient(given: object) -> str:
        try:
            return token_in(given)
        except PeerError:
            found = find(given)
            if not found:
                raise
            return str(found)

    patch.setattr(tokens, "token_in", lenient)


def _in(given: Any, *names: str) -> Any:
    return next((given[n] for n in names if isinstance(given, dict) and n in given), None)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _anywhere(given: Any) -> Any:
    if isinstance(given, dict):
        own = given.get("operation_token")
        return own or next(filter(None, map(_anywhere, given.values())), None)
    if isinstance(given, list):
        return next(filter(None, map(_anywhere, given)), None)
    return None


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None


alike(
    find_also,
    "MINT-03",
    killed_by=case(test_mint_forms.test_no_other_member_is_a_token),
    a_member_token_is_a_token=lambda it: _text(_in(it, "token")),
    an_access_token_is_a_token=lambda it: _text(_in(it, "access_token")),
    a_token_in_camel_case_is_a_token=lambda it: _text(_in(it, "operationToken")),
    a_token_may_be_anywhere=_anywhere,
    a_token_may_be_in_the_result=lambda it: _in(_in(it, "result"), "operation_token"),
    a_token_may_be_in_a_list=lambda it: _in(
        _first(_in(it, "result", "results")), "operation_token"
    ),
    a_token_may_be_in_the_data=lambda it: _in(_in(it, "data"), "operation_token"),
    an_answer_that_is_a_text_is_a_token=lambda it: _text(_in(it, "result")),
    a_message_is_a_token=lambda it: _text(_in(it, "message")),
)


def change_status(patch: pytest.MonkeyPatch, of: Callable[[int], bool], to: int) -> None:
    """Take answers of the mint with these statuses for answers with another one.

    A refusal has no body then: its tokens would be in the reason.
    """
    read = Peer.read

    async def changed(self: Peer, response: Any) -> Answer:
        received = await read(self, response)
        headers = response._response.request_info.headers
        is_mint = "Bearer" not in headers.get("Authorization", "")
        if not is_mint or not of(received.status):
            return received
        return replace(received, status=to, body=received.body if to in SUCCESS else b"")

    patch.setattr(Peer, "read", changed)


def ignore_status(patch: pytest.MonkeyPatch, of: Callable[[int], bool]) -> None:
    """Take answers with these statuses for a success of the mint."""
    change_status(patch, of, 200)


alike(
    ignore_status,
    "SEQ-06",
    killed_by=REFUSAL,
    a_token_counts_whatever_its_status_is=lambda _: True,
    a_token_counts_in_a_redirect=lambda status: 300 <= status < 400,
    a_token_counts_in_a_refusal=lambda status: 400 <= status < 500,
    a_token_counts_in_a_server_error=lambda status: status >= 500,
)


def refuse_status(patch: pytest.MonkeyPatch, statuses: Callable[[int], bool]) -> None:
    """Take successes with these statuses for a failure of the mint."""
    change_status(patch, statuses, 500)


alike(
    refuse_status,
    "HTTP-05",
    killed_by=case(test_mint_forms.test_a_mint_has_any_status_of_a_success),
    a_mint_needs_200=lambda status: status != 200,
    a_mint_needs_200_or_201=lambda status: status not in (200, 201),
    a_mint_needs_a_known_status=lambda status: status > 208,
)
