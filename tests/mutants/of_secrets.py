"""Mutants that show a password, a token or a key: in a form, in a place, or after a failure."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from deploy_relay_kit.relay import fanout, redact
from deploy_relay_kit.relay import token as tokens
from deploy_relay_kit.relay.errors import AttemptError, InputError, PeerError
from deploy_relay_kit.relay.escapes import View
from deploy_relay_kit.relay.node import MintContext
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from deploy_relay_kit.relay.token import GivenToken, OperationsMint
from tests.conformance import test_quotes, test_secrets
from tests.mutants.mutant import alike, case, mutant
from tests.mutants.of_minting import Minting, change_mint

OF_A_TOKEN = test_quotes.test_a_token_that_a_peer_quotes_is_in_no_record
OF_A_PASSWORD = case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record)
OF_A_MINT = case(test_quotes.test_a_password_that_a_mint_quotes_is_in_no_record)
REFRESH = case(test_quotes.test_a_refresh_token_is_hidden_wherever_a_mint_has_it)
UNUSABLE = case(test_quotes.test_a_token_that_cannot_be_used_is_in_no_record)
OUTPUT = case(test_secrets.test_no_record_and_no_output_holds_a_credential)

# -- what a peer quotes ----------------------------------------------------------------------------


def add_secrets_if(patch: pytest.MonkeyPatch, keep: Callable[[str, str], bool]) -> None:
    """Hide only the secrets that this function keeps, of a secret and its word."""
    add = Secrets.add

    def some(self: Secrets, secret: str, word: str) -> None:
        if keep(secret, word):
            add(self, secret, word)

    patch.setattr(Secrets, "add", some)


alike(
    add_secrets_if,
    "BUG-41",
    killed_by=case(OF_A_TOKEN, secret="refresh_token"),
    a_refresh_token_is_not_hidden=lambda _, word: word != "[refresh token]",
)
alike(
    add_secrets_if,
    "BUG-41",
    killed_by=OF_A_PASSWORD,
    a_password_with_a_quote_is_not_hidden=lambda secret, _: '"' not in secret,
    a_password_with_a_blank_is_not_hidden=lambda secret, _: " " not in secret,
    a_password_beyond_ascii_is_not_hidden=lambda secret, _: secret.isascii(),
)


def change_forms(patch: pytest.MonkeyPatch, forms: Callable[[str], set[str]]) -> None:
    patch.setattr(redact, "_forms", forms)
    patch.setattr(redact, "views_of", lambda text, **_: [View(text)])


alike(
    change_forms,
    "BUG-41",
    killed_by=OF_A_PASSWORD,
    secrets_are_hidden_as_they_are_alone=lambda it: {it},
    secrets_are_hidden_as_in_ascii_json_alone=lambda it: {json.dumps(it)[1:-1]},
    secrets_are_hidden_without_their_ends=lambda it: {f" {it} "},
)


def hide_in(patch: pytest.MonkeyPatch, hides: Callable[[Secrets, Any], Any]) -> None:
    patch.setattr(Secrets, "hide", hides)


def _texts_alone(self: Secrets, value: Any) -> Any:
    return self._hide(value) if isinstance(value, str) else value


def _values_alone(self: Secrets, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: self.hide(item) for name, item in value.items()}
    if isinstance(value, list):
        return [self.hide(item) for item in value]
    return _texts_alone(self, value)


def _members_alone(self: Secrets, value: Any) -> Any:
    if isinstance(value, dict):
        return {self.hide(name): self.hide(item) for name, item in value.items()}
    return _texts_alone(self, value)


def _first_level(self: Secrets, value: Any) -> Any:
    if isinstance(value, dict):
        return {self.hide(name): _texts_alone(self, item) for name, item in value.items()}
    return _texts_alone(self, value)


def _once(self: Secrets, value: Any) -> Any:
    if isinstance(value, str):
        for form, word in self._words.items():
            value = value.replace(form, word, 1)
        return value
    return _values_alone(self, value)


alike(
    hide_in,
    "BUG-41",
    killed_by=case(OF_A_TOKEN),
    secrets_in_texts_alone_are_hidden=_texts_alone,
    secrets_in_names_are_not_hidden=_values_alone,
    secrets_in_lists_are_not_hidden=_members_alone,
    secrets_in_inner_values_are_not_hidden=_first_level,
    a_secret_is_hidden_once=_once,
)


@mutant("BUG-41", killed_by=case(OF_A_TOKEN))
def secrets_in_a_success_are_not_hidden(patch: pytest.MonkeyPatch) -> None:
    attempt = fanout._attempt

    async def shown(work: Any, peer: Peer) -> Any:
        kept: list[Any] = []

        async def noted(peer: Peer) -> Any:
            kept.append(await work(peer))
            return kept[-1]

        outcome = await attempt(noted, peer)
        return outcome if isinstance(outcome, AttemptError) else kept[-1]

    patch.setattr(fanout, "_attempt", shown)


@mutant(
    "BUG-41",
    killed_by=case(test_quotes.test_a_token_that_was_given_and_is_quoted_is_in_no_record),
)
def a_given_token_is_not_hidden(patch: pytest.MonkeyPatch) -> None:
    hide = Peer.hide

    def minted_alone(self: Peer, secret: str, word: str) -> None:
        if not isinstance(self.mint, GivenToken):
            hide(self, secret, word)

    patch.setattr(Peer, "hide", minted_alone)


@mutant("BUG-41", killed_by=OF_A_MINT)
def a_password_is_hidden_when_its_token_is_there(patch: pytest.MonkeyPatch) -> None:
    async def later(self: OperationsMint, context: MintContext) -> str:
        login = {"username": self.username, "password": self.password}
        answer = await context.ask({"operation": tokens.OPERATION, "expires_in": "5m", **login})
        context.hide(self.password, "[password]")
        tokens.hide_refresh_token(answer, context)
        return tokens.token_in(answer)

    patch.setattr(OperationsMint, "mint", later)


def find_refresh_in(patch: pytest.MonkeyPatch, holders: Callable[[Any], list[Any]]) -> None:
    def hidden(answer: object, context: MintContext) -> None:
        for holder in holders(answer):
            if isinstance(holder, dict) and isinstance(holder.get("refresh_token"), str):
                context.hide(holder["refresh_token"], "[refresh token]")

    for module in (tokens, "deploy_relay_kit.relay.replication"):
        target = module if isinstance(module, str) else module.__name__
        patch.setattr(f"{target}.hide_refresh_token", hidden)


alike(
    find_refresh_in,
    "BUG-41",
    killed_by=REFRESH,
    a_refresh_token_inside_results_is_not_hidden=lambda answer: [answer],
)


@mutant("BUG-41", killed_by=REFRESH)
def a_refresh_token_of_a_socket_is_not_hidden(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("deploy_relay_kit.relay.replication.hide_refresh_token", lambda *_: None)


# -- what the relay says by itself -----------------------------------------------------------------


def explain_a_token(patch: pytest.MonkeyPatch, explain: Callable[[Any], str]) -> None:
    """Explain why a mint has no usable token."""
    token_in = tokens.token_in

    def explained(answer: object) -> str:
        try:
            return token_in(answer)
        except PeerError as error:
            error.reason += f": {explain(answer)}"
            raise

    patch.setattr(tokens, "token_in", explained)


alike(
    explain_a_token,
    "BUG-41",
    killed_by=UNUSABLE,
    also={
        "an_unusable_token_is_quoted": {
            "MINT-03": "the quoted token stands in a reason that has no such place"
        }
    },
    the_answer_of_a_mint_is_quoted=json.dumps,
    an_unusable_token_is_quoted=lambda it: (
        repr(it["operation_token"]) if isinstance(it, dict) and "operation_token" in it else ""
    ),
    an_unusable_token_is_quoted_in_part=lambda it: (
        str(it["operation_token"])[:60] if isinstance(it, dict) and "operation_token" in it else ""
    ),
)


@mutant(
    "BUG-41",
    killed_by=case(test_quotes.test_a_given_token_that_cannot_be_used_is_in_no_record),
)
def a_bad_given_token_is_quoted(patch: pytest.MonkeyPatch) -> None:
    def refusing(self: GivenToken) -> None:
        if not tokens.fits_a_header(self.token):
            raise InputError(f"the given token {self.token!r} is not valid in a header")

    patch.setattr(GivenToken, "__post_init__", refusing)


def write_of_a_mint(patch: pytest.MonkeyPatch, form: Callable[[OperationsMint, str], str]) -> None:
    """Write something about each mint to standard error."""

    def change(mint: Minting) -> Minting:
        async def logged(self: OperationsMint, context: MintContext) -> str:
            token = await mint(self, context)
            sys.stderr.write(f"{context.node.name}: {form(self, token)}\n")
            return token

        return logged

    change_mint(patch, change)


def _basic(of: OperationsMint) -> str:
    return base64.b64encode(f"{of.username}:{of.password}".encode()).decode()


alike(
    write_of_a_mint,
    "BUG-41",
    killed_by=OUTPUT,
    a_log_has_the_head_of_a_request=lambda of, _: f"Authorization: Basic {_basic(of)}",
    a_log_has_a_password_in_base64=lambda of, _: base64.b64encode(of.password.encode()).decode(),
    a_log_has_a_token_in_base64=lambda _, token: base64.b64encode(f"t={token}".encode()).decode(),
    a_log_has_a_url_with_a_password=lambda of, _: f"https://admin:{quote(of.password, '')}@node/",
    a_log_has_the_beginning_of_a_token=lambda _, token: f"{token[:40]}…",
    a_log_has_the_end_of_a_password=lambda of, _: f"…{of.password[-14:]}",
)


@mutant("BUG-41", killed_by=OUTPUT)
def a_log_has_refresh_tokens(patch: pytest.MonkeyPatch) -> None:
    hide = tokens.hide_refresh_token

    def logged(answer: object, context: MintContext) -> None:
        sys.stderr.write(f"{answer}\n")
        hide(answer, context)

    patch.setattr(tokens, "hide_refresh_token", logged)


def write_files(patch: pytest.MonkeyPatch, path: Callable[[], Path]) -> None:
    """Keep each token in a file."""
    token = Peer.token

    async def kept(self: Peer) -> str:
        new = await token(self)
        file = path()
        file.parent.mkdir(exist_ok=True)
        file.write_text(new)
        return new

    patch.setattr(Peer, "token", kept)


@mutant("BUG-41", killed_by=case(test_secrets.test_no_file_with_a_credential_is_left_behind))
def a_directory_keeps_the_tokens(patch: pytest.MonkeyPatch) -> None:
    patch.chdir(tempfile.mkdtemp(prefix="pytest-of-mutants-"))
    write_files(patch, lambda: Path("cache") / "token")


@mutant("BUG-41", killed_by=case(test_secrets.test_the_key_of_the_relay_is_shown_nowhere))
def a_log_has_the_key(patch: pytest.MonkeyPatch) -> None:
    begin = fanout.FanOut.__init__

    def logged(self: fanout.FanOut, *at: Any, **how: Any) -> None:
        if (given := how.get("tls")) and given.key_file:
            sys.stderr.write(Path(given.key_file).read_text())
        begin(self, *at, **how)

    patch.setattr(fanout.FanOut, "__init__", logged)
