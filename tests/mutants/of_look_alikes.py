"""Mutants that take a name, a port or a piece of a secret for something that it resembles."""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast
from weakref import WeakKeyDictionary

import pytest

from deploy_relay_kit.relay import escapes, redact, urls
from deploy_relay_kit.relay.deadline import Deadline
from deploy_relay_kit.relay.link import Link, Reply
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.redact import Secrets
from tests.conformance import (
    test_mint_answers,
    test_plain,
    test_quotes,
    test_secrets,
    test_url_parts,
)
from tests.mutants.mutant import alike, case, mutant

QUOTED_PASSWORD = case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record)


def this_machine_is(patch: pytest.MonkeyPatch, beginning: str) -> None:
    """Take each host that begins like this for this machine."""
    known = urls.is_loopback
    patch.setattr(urls, "is_loopback", lambda host: host.startswith(beginning) or known(host))


alike(
    this_machine_is,
    "TLS-06",
    killed_by=case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused),
    a_name_that_begins_with_127_is_this_machine="127.",
    a_name_that_begins_with_localhost_is_this_machine="localhost",
)


@mutant(
    "URL-02",
    killed_by=case(
        test_url_parts.test_without_a_secure_port_plain_http_is_used_at_the_insecure_port
    ),
)
def a_port_that_ends_in_443_is_secure(patch: pytest.MonkeyPatch) -> None:
    put_together = urls._put_together

    def guessed(schemes: Any, host: str, settings: Any) -> str:
        url = put_together(schemes, host, settings)
        scheme, _, rest = url.partition("://")
        return f"https://{rest}" if scheme == "http" and rest.endswith("443/") else url

    patch.setattr(urls, "_put_together", guessed)


def show(patch: pytest.MonkeyPatch, part: Callable[[str], str]) -> None:
    """Print a part of each token."""
    token = Peer.token

    async def shown(self: Peer) -> str:
        minted = await token(self)
        print(f"minted a token, {part(minted)}", file=sys.stderr)  # noqa: T201
        return minted

    patch.setattr(Peer, "token", shown)


alike(
    show,
    "BUG-41",
    killed_by=case(test_secrets.test_no_record_and_no_output_holds_a_credential),
    the_first_8_characters_of_a_token_are_logged=lambda it: f"{it[:8]}…",
    the_last_8_characters_of_a_token_are_logged=lambda it: f"…{it[-8:]}",
)


@mutant("BUG-41", killed_by=case(test_secrets.test_no_end_of_a_token_is_shown))
def a_hidden_token_is_known_by_its_end(patch: pytest.MonkeyPatch) -> None:
    hide = Peer.hide
    patch.setattr(
        Peer, "hide", lambda self, secret, word: hide(self, secret, f"{word} …{secret[-4:]}")
    )


alike(
    show,
    "BUG-41",
    killed_by=case(test_secrets.test_no_end_of_a_token_is_shown),
    the_last_4_characters_of_a_token_are_logged=lambda it: f"…{it[-4:]}",
)


def read_less(patch: pytest.MonkeyPatch, left: Callable[[str], bool]) -> None:
    """Leave the escapes for which this is true as they are."""

    def fewer(meaning: Callable[[str], str]) -> Callable[[str], str]:
        return lambda escape: escape if left(escape) else meaning(escape)

    kinds = [(mark, pattern, fewer(meaning)) for mark, pattern, meaning in escapes._KINDS]
    patch.setattr(escapes, "_KINDS", tuple(kinds))


alike(
    read_less,
    "BUG-41",
    killed_by=QUOTED_PASSWORD,
    escapes_of_slashes_are_not_hidden=lambda it: it == "\\/",
    escapes_in_capitals_are_not_hidden=lambda it: it == "\\u00F6",
    escapes_in_small_letters_are_not_hidden=lambda it: it == "\\u00f6",
    escapes_of_urls_in_small_letters_are_not_hidden=lambda it: it[:3] == "%c3",
    escapes_of_urls_with_a_plus_are_not_hidden=lambda it: it == "+",
)


@mutant(
    "BUG-41",
    killed_by=case(
        test_quotes.test_the_credentials_of_a_header_that_a_peer_quotes_are_in_no_record
    ),
)
def base64_with_the_alphabet_of_urls_is_not_hidden(patch: pytest.MonkeyPatch) -> None:
    forms = redact._in_base64

    def standard(secret: bytes) -> Iterator[str]:
        yield from (form for form in forms(secret) if not set("-_") & set(form))

    patch.setattr(redact, "_in_base64", standard)


@mutant(
    "BUG-41",
    killed_by=case(test_secrets.test_a_token_that_contains_another_is_hidden_whole),
)
def secrets_are_replaced_one_after_another(patch: pytest.MonkeyPatch) -> None:
    def hide(self: Secrets, text: str) -> str:
        for form, word in self._words.items():
            text = text.replace(form, word)
        return text

    patch.setattr(Secrets, "_hide", hide)


@mutant("BUG-41", killed_by=QUOTED_PASSWORD)
def short_secrets_are_not_hidden(patch: pytest.MonkeyPatch) -> None:
    add = Secrets.add

    def long(self: Secrets, secret: str, word: str) -> None:
        if len(secret) >= 6:
            add(self, secret, word)

    patch.setattr(Secrets, "add", long)


@mutant(
    "BUG-41",
    killed_by=case(
        test_quotes.test_the_credentials_of_a_header_that_a_peer_quotes_are_in_no_record
    ),
)
def base64_is_hidden_of_a_password_alone(patch: pytest.MonkeyPatch) -> None:
    def whole(secret: bytes) -> Iterator[str]:
        yield b64encode(secret).decode()

    patch.setattr(redact, "_in_base64", whole)


@mutant(
    "HTTP-03",
    killed_by=case(
        test_mint_answers.test_a_mint_whose_answer_does_not_end_is_given_up_in_time,
        answer=test_mint_answers.AfterInterim(json=test_mint_answers.SLOW),
    ),
)
def an_interim_answer_restarts_the_limit_of_a_mint(patch: pytest.MonkeyPatch) -> None:
    begin, received, enter = Link.__init__, Link.data_received, Deadline.__aenter__
    tasks: WeakKeyDictionary[Link, asyncio.Task[Any] | None] = WeakKeyDictionary()
    running: dict[Any, Deadline] = {}

    def begun(self: Link, transport: asyncio.Transport) -> None:
        begin(self, transport)
        tasks[self] = asyncio.current_task()

    async def entered(self: Deadline) -> Deadline:
        if self._seconds is not None:  # that of an upload starts later
            running[asyncio.current_task()] = self
        return await enter(self)

    def restarting(self: Link, data: bytes) -> None:
        deadline = running.get(tasks[self])
        if deadline is not None and data.startswith(b"HTTP/1.1 102"):
            deadline.start(cast("float", deadline._seconds))
        received(self, data)

    patch.setattr(Link, "__init__", begun)
    patch.setattr(Link, "data_received", restarting)
    patch.setattr(Deadline, "__aenter__", entered)


@mutant(
    "HTTP-03",
    "SEQ-06",
    killed_by=tuple(
        case(test_mint_answers.test_a_mint_whose_answer_does_not_end_is_given_up_in_time, answer=it)
        for it in test_mint_answers.SLOW_BODIES
    ),
)
def each_byte_of_a_body_restarts_the_limit_of_a_mint(patch: pytest.MonkeyPatch) -> None:
    read, following = Peer.read, Reply.__anext__
    patience: dict[int, float] = {}

    async def timed(self: Peer, reply: Reply) -> Any:
        patience[id(reply)] = self.connections.limits.mint
        return await read(self, reply)

    async def block(self: Reply) -> bytes:
        async with asyncio.timeout(patience[id(self)]):
            return await following(self)

    patch.setattr(Peer, "limits", property(lambda self: replace(self.connections.limits, mint=30)))
    patch.setattr(Peer, "read", timed)
    patch.setattr(Reply, "__anext__", block)
