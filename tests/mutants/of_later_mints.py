"""Mutants whose first mint is right, and whose later ones are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.replication import ReplicationMint
from deploy_relay_kit.relay.token import OperationsMint
from tests.conformance import test_mint_attempts
from tests.mutants.mutant import case, mutant

LATER = case(test_mint_attempts.test_every_attempt_mints_as_the_first)
OVER_A_SOCKET = case(test_mint_attempts.test_every_attempt_mints_over_a_socket_as_the_first)


def change_later(patch: pytest.MonkeyPatch, kind: Any, change: Callable[[Any], Any]) -> None:
    """Change every mint of a node but the first."""
    mint, nodes = kind.mint, set[int]()

    async def changed(self: Any, context: Peer) -> str:
        is_first = id(context) not in nodes
        nodes.add(id(context))
        minted: str = await mint(self if is_first else change(self), context)
        return minted

    patch.setattr(kind, "mint", changed)


@mutant("MINT-07", killed_by=LATER)
def the_second_mint_asks_for_a_day(patch: pytest.MonkeyPatch) -> None:
    change_later(patch, OperationsMint, lambda it: replace(it, expires_in="1d"))


@mutant("MINT-07", killed_by=OVER_A_SOCKET)
def the_second_mint_over_a_socket_names_no_lifetime(patch: pytest.MonkeyPatch) -> None:
    change_later(patch, ReplicationMint, lambda it: replace(it, expires_in=None))


def keep_tokens(patch: pytest.MonkeyPatch) -> dict[int, str]:
    """The last token of each peer, by the id of the peer."""
    minted, last = Peer.token, dict[int, str]()

    async def kept(self: Peer) -> str:
        last[id(self)] = await minted(self)
        return last[id(self)]

    patch.setattr(Peer, "token", kept)
    return last


@mutant("MINT-01", killed_by=LATER)
def the_second_mint_names_a_role(patch: pytest.MonkeyPatch) -> None:
    last, ask = keep_tokens(patch), Peer.ask

    def named(self: Peer, request: Mapping[str, Any], **how: Any) -> Any:
        role = {"role": "super_user"} if id(self) in last else {}
        return ask(self, {**request, **role}, **how)

    patch.setattr(Peer, "ask", named)


@mutant("MINT-11", killed_by=LATER)
def the_old_token_is_sent_with_the_second_mint(patch: pytest.MonkeyPatch) -> None:
    last, exchange = keep_tokens(patch), Peer.post

    def bearing(self: Peer, headers: Mapping[str, str], body: Any, *more: Any) -> Any:
        if isinstance(body, bytes) and id(self) in last:
            headers = {**headers, "Authorization": f"Bearer {last[id(self)]}"}
        return exchange(self, headers, body, *more)

    patch.setattr(Peer, "post", bearing)
