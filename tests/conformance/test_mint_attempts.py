"""Each attempt mints as the first one does: with the same members, and without an old token."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from deploy_relay_kit.harness import (
    Answer,
    CloseWithoutAnswer,
    FakeCluster,
    Fault,
    MintAnswer,
    MintDropped,
    ResetAfter,
    in_turn,
)
from deploy_relay_kit.harness.judge.cases.checks import Checks
from deploy_relay_kit.harness.judge.cases.deadlines import AN_HOUR, THRICE
from deploy_relay_kit.harness.judge.cases.relay import Relay
from deploy_relay_kit.harness.peer.tokens import lifetime

FAILURES: Mapping[str, Fault] = {
    "503 and no answer": in_turn(Answer(503), CloseWithoutAnswer(), None),
    "two resets": in_turn(ResetAfter(70_000), ResetAfter(0), None),
    "a mint answered 503, and one not answered": in_turn(
        MintAnswer(Answer(503)), MintDropped(), None
    ),
}
USUAL = ["create_authentication_tokens", "no role", "an hour at most"]


def asked(mint: Mapping[str, Any]) -> list[str]:
    """What a mint asks for, in the words of `USUAL`."""
    given = mint.get("expires_in")
    seconds = lifetime(given)
    is_short = seconds is not None and 0 < seconds <= AN_HOUR
    lasting = USUAL[2] if is_short else f"expires_in {given or 'absent'}"
    return [str(mint.get("operation")), "a role" if "role" in mint else USUAL[1], lasting]


def check_mints(check: Checks, mints: Sequence[Mapping[str, Any]], what: str) -> None:
    """Look at what the mints of three attempts ask for."""
    check.need(len(mints) > 1, f"the relay made no second mint {what}")
    for number, mint in enumerate(mints[1:], 2):
        operation, role, lasting = asked(mint)
        with check("MINT-01", f"the mint of attempt {number} {what}"):
            assert [operation, role] == USUAL[:2]
        with check("MINT-07", f"the lifetime in the mint of attempt {number} {what}"):
            assert lasting == USUAL[2]


def test_every_attempt_mints_as_the_first(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The mint of a later attempt asks for the same as the first, and shows no earlier token."""
    peers = {what: cluster.peer(fault=fault) for what, fault in FAILURES.items()}
    relay.deploy(to=map(relay.minting, peers.values()), limits=THRICE)
    for what, peer in peers.items():
        bodies = [mint.body for mint in peer.mints]
        check_mints(check, bodies, f"after {what}")
        login = b64encode(f"{peer.username}:{peer.password}".encode()).decode()
        heads = [it.header("authorization", "") for it in peer.mints]
        with check("MINT-11", f"the mints with a token of an earlier attempt, after {what}"):
            assert sum("Bearer" in head for head in heads) == 0
        with check("MINT-11", f"the mints with another login in the head, after {what}"):
            others = [it for it in heads if "Bearer" not in it and not it.endswith(login)]
            assert sum(map(bool, others)) == 0


def test_every_attempt_mints_over_a_socket_as_the_first(
    cluster: FakeCluster, relay: Relay, check: Checks
) -> None:
    """The mint of a later attempt over the socket asks for the same as the first."""
    peer = cluster.peer(fault=FAILURES["503 and no answer"])
    socket = cluster.replication(peer)
    relay.deploy(to=[relay.minting_over(socket, peer)], limits=THRICE)
    operations = [it for seen in socket.sockets for it in seen.operations]
    check_mints(check, operations, "over the socket")
