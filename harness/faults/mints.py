"""Faults of mints and of tokens."""

from __future__ import annotations

from attrs import field, frozen

from deploy_relay_kit.harness.faults.answers import Answer
from deploy_relay_kit.harness.faults.broken_answers import AnyAnswer
from deploy_relay_kit.harness.faults.checks import check_int, check_text, check_type


@frozen
class MintAnswer:
    """Answer every mint with this, whatever the credentials are."""

    answer: AnyAnswer = field(validator=check_type(AnyAnswer))


@frozen
class MintHangs:
    """Read the mint and never answer it."""


@frozen
class MintDropped:
    """Read the mint and close the connection without an answer."""


@frozen
class MintNested:
    """Answer the mint with the token inside `results` (MINT-02); a relay must accept it."""


@frozen
class MintForAnotherUser:
    """Mint tokens of a user who may not deploy: the upload is refused with 403 (DEP-01)."""


@frozen
class TokensExpire:
    """This many tokens, from the first one, are expired when they are used (MINT-12, MINT-13)."""

    first: int = field(default=1, validator=check_int(least=1))


def mint_refused(message: str = "invalid credentials", status: int = 401) -> MintAnswer:
    """Refuse the mint with an error text of Harper (MINT-11, MINT-12)."""
    check_text.validate("message", message)
    return MintAnswer(Answer.error(status, message))


def mint_without_token() -> MintAnswer:
    """Answer the mint with a success without an `operation_token` (MINT-03)."""
    return MintAnswer(Answer(json={"refresh_token": "not-what-was-asked-for"}))


def mint_with_token(token: object) -> MintAnswer:
    """Answer the mint with this value as its token: a number, null, an object."""
    return MintAnswer(Answer(json={"operation_token": token}))
