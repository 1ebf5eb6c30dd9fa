"""Mutants that leave a secret where it has a rare form, or in a rare attempt."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from deploy_relay_kit.relay import fanout, redact, tls, token
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import test_quotes, test_quotes_later, test_secrets
from tests.mutants.moments import count_attempts
from tests.mutants.mutant import alike, case, mutant

OF_A_PASSWORD = case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record)
OF_THE_KEY = case(test_secrets.test_the_key_of_the_relay_is_shown_nowhere)


def hide_some(patch: pytest.MonkeyPatch, is_hidden: Callable[[str], bool]) -> None:
    """Hide only some secrets."""
    add = Secrets.add

    def changed(self: Secrets, secret: str, word: str) -> None:
        if is_hidden(secret):
            add(self, secret, word)

    patch.setattr(Secrets, "add", changed)


alike(
    hide_some,
    "BUG-41",
    killed_by=OF_A_PASSWORD,
    no_secret_of_digits_is_hidden=lambda it: not it.isdecimal(),
    no_secret_of_2_kb_is_hidden=lambda it: len(it) <= 2_048,
)


def lose_forms(patch: pytest.MonkeyPatch, is_lost: Callable[[str, str], bool]) -> None:
    """Hide a secret, except in some of its forms."""
    forms = redact._forms
    patch.setattr(
        redact, "_forms", lambda secret: {it for it in forms(secret) if not is_lost(secret, it)}
    )


alike(
    lose_forms,
    "BUG-41",
    killed_by=OF_A_PASSWORD,
    no_secret_is_hidden_as_a_component_of_a_url=lambda secret, form: (
        form == quote(secret, "!'()*") != quote(secret, "")
    ),
)


@mutant(
    "BUG-41",
    killed_by=case(
        test_quotes.test_the_credentials_of_a_header_that_a_peer_quotes_are_in_no_record
    ),
)
def a_secret_in_base64_is_hidden_at_its_end_alone(patch: pytest.MonkeyPatch) -> None:
    in_base64 = redact._in_base64

    def some(secret: bytes) -> list[str]:
        inner = 2 * (len(secret) % 3 > 0)  # the form of a secret that begins at a whole group
        forms = list(in_base64(secret))
        return forms[:2] + forms[2 + inner :]

    patch.setattr(redact, "_in_base64", some)


@mutant(
    "BUG-41", killed_by=case(test_quotes_later.test_a_token_of_an_earlier_attempt_is_in_no_record)
)
def a_success_of_a_second_attempt_is_shown_as_it_is(patch: pytest.MonkeyPatch) -> None:
    hide, get, minted = Secrets.hide, Peer.token, dict[int, int]()

    async def counted(self: Peer) -> str:
        minted[id(self.secrets)] = minted.get(id(self.secrets), 0) + 1
        return await get(self)

    def changed(self: Secrets, value: Any) -> Any:
        is_again = minted.get(id(self), 0) > 1
        return value if is_again and isinstance(value, dict) else hide(self, value)

    patch.setattr(Peer, "token", counted)
    patch.setattr(Secrets, "hide", changed)


@mutant("BUG-41", killed_by=case(test_quotes.test_a_refresh_token_is_hidden_wherever_a_mint_has_it))
def a_refresh_token_beside_results_is_not_hidden(patch: pytest.MonkeyPatch) -> None:
    hide = token.hide_refresh_token

    def inner(answer: Any, context: Any) -> None:
        hide(answer.get("results", answer), context)

    patch.setattr(token, "hide_refresh_token", inner)


@mutant(
    "BUG-41",
    killed_by=case(test_quotes.test_a_token_that_cannot_be_used_is_in_no_record),
)
def the_begin_of_a_message_of_a_mint_is_shown(patch: pytest.MonkeyPatch) -> None:
    token_in = token.token_in

    def told(answer: Any) -> str:
        try:
            return token_in(answer)
        except PeerError as error:
            if isinstance(answer.get("message"), str):
                error.reason += f": {answer['message'][:40]}"
            raise

    patch.setattr(token, "token_in", told)


@mutant("BUG-41", killed_by=case(test_secrets.test_no_file_with_a_credential_is_left_behind))
def a_second_attempt_keeps_its_token_in_a_cache(patch: pytest.MonkeyPatch) -> None:
    outcome, moment = _Sending.outcome, count_attempts(patch)
    path = Path("~/.cache").expanduser() / "relay-token"

    async def changed(self: _Sending) -> dict[str, object]:
        try:
            if moment(self.peer, "upload").is_again:
                path.parent.mkdir(exist_ok=True)
                path.write_text(self.token)
            return await outcome(self)
        finally:
            path.unlink(missing_ok=True)

    patch.setattr(_Sending, "outcome", changed)


def tell_key(patch: pytest.MonkeyPatch, tell: Callable[[str], object]) -> None:
    """Tell a part of each key that is read."""
    load = tls.load_certificate

    def changed(context: Any, certificate: Any, key: Any) -> None:
        tell(Path(key or certificate).read_text().partition("\n")[2][70:110])
        load(context, certificate, key)

    patch.setattr(tls, "load_certificate", changed)


@mutant("BUG-41", killed_by=OF_THE_KEY)
def a_part_of_the_key_is_written_to_the_output(patch: pytest.MonkeyPatch) -> None:
    tell_key(patch, lambda part: sys.stderr.write(f"{part}\n"))


@mutant("BUG-41", killed_by=OF_THE_KEY)
def a_part_of_the_key_is_in_the_reason_of_a_failed_handshake(patch: pytest.MonkeyPatch) -> None:
    parts, attempt = list[str](), fanout._attempt
    tell_key(patch, parts.append)

    async def told(work: Any, peer: Peer) -> Any:
        outcome = await attempt(work, peer)
        if isinstance(outcome, AttemptError) and outcome.stage == "tls":
            outcome.reason += "".join(parts[-1:])
        return outcome

    patch.setattr(fanout, "_attempt", told)
