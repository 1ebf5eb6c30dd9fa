"""Mutants that need two conditions at once."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout
from deploy_relay_kit.relay.errors import AttemptError
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.tls import Tls, contexts_for
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import test_combinations
from tests.mutants.mutant import Case, case, mutant
from tests.mutants.of_urls import Trust

OF_ROWS = test_combinations.test_a_fault_has_its_record_under_all_other_conditions


def row(*, needs: Callable[[test_combinations.Row], bool]) -> Case:
    """The case with the first row that has these conditions."""
    chosen = next(filter(needs, test_combinations.rows()))
    return case(OF_ROWS, row=chosen)


def change_body(patch: pytest.MonkeyPatch, is_bad: Callable[[_Sending], bool]) -> None:
    """Leave out the last byte of the payload of some uploads."""
    parts = _Sending._parts

    async def changed(self: _Sending) -> AsyncIterator[bytes]:
        sent, size = 0, self.upload.payload.size + len(self._frame.head)
        async for view in parts(self):
            part = bytes(view)
            sent += len(part)
            yield part[:-1] if sent == size and is_bad(self) else part

    patch.setattr(_Sending, "_parts", changed)


def change_outcome(
    patch: pytest.MonkeyPatch, change: Callable[[Peer, AttemptError, int], None]
) -> None:
    """Change the failure of an attempt; `change` also gets the number of the attempt."""
    attempt = fanout._attempt
    attempts: Counter[int] = Counter()

    async def changed(work: Any, peer: Peer) -> Any:
        attempts[id(peer)] += 1
        outcome = await attempt(work, peer)
        if isinstance(outcome, AttemptError):
            change(peer, outcome, attempts[id(peer)])
        return outcome

    patch.setattr(fanout, "_attempt", changed)


def is_whole_mebibytes(sending: _Sending) -> bool:
    return sending.upload.payload.size % (1 << 20) == 0


@mutant("FLD-08", killed_by=row(needs=lambda it: it.size == 1 << 20 and it.events))
def whole_mebibytes_with_events_lose_a_byte(patch: pytest.MonkeyPatch) -> None:
    change_body(patch, lambda it: is_whole_mebibytes(it) and it.upload.ask_for_events)


@mutant(
    "FLD-08", killed_by=row(needs=lambda it: it.size == 1 and it.posture == "a client certificate")
)
def a_byte_to_a_node_of_the_cluster_is_lost(patch: pytest.MonkeyPatch) -> None:
    change_body(patch, lambda it: it.upload.payload.size == 1 and it.peer.node.ca_file is None)


@mutant(
    "RTY-02",
    killed_by=row(
        needs=lambda it: it.fault == "503 once" and it.posture == "insecure" and it.attempts == 2
    ),
)
def an_insecure_node_is_not_tried_again(patch: pytest.MonkeyPatch) -> None:
    def final(peer: Peer, failure: AttemptError, _: int) -> None:
        failure.retryable &= peer.node.verify

    change_outcome(patch, final)


@mutant(
    "EARLY-04",
    killed_by=row(needs=lambda it: it.fault == "a refusal during the upload" and it.events),
)
def an_early_refusal_with_events_has_no_status(patch: pytest.MonkeyPatch) -> None:
    outcome = _Sending.outcome

    async def changed(self: _Sending) -> dict[str, object]:
        try:
            return await outcome(self)
        except AttemptError as failure:
            if self.upload.ask_for_events:
                failure.status_code = None
            raise

    patch.setattr(_Sending, "outcome", changed)


@mutant(
    "URL-08",
    killed_by=row(
        needs=lambda it: it.attempts == 2 and it.target != "/" and it.fault == "503 once"
    ),
)
def a_second_attempt_goes_to_the_root(patch: pytest.MonkeyPatch) -> None:
    attempt = fanout._attempt
    attempts: Counter[str] = Counter()

    async def changed(work: Any, peer: Peer) -> Any:
        attempts[peer.node.name] += 1
        again = attempts[peer.node.name] == 2
        api = replace(peer.api, target="/") if again else peer.api
        return await attempt(work, replace(peer, api=api))

    patch.setattr(fanout, "_attempt", changed)


@mutant(
    "TLS-01", killed_by=row(needs=lambda it: it.fault == "an expired certificate" and it.peers == 5)
)
def many_nodes_are_not_verified(patch: pytest.MonkeyPatch) -> None:
    def lax(nodes: Iterable[Trust], how: Tls) -> list[ssl.SSLContext]:
        given = list(nodes)
        return contexts_for([(file, verify and len(given) < 4) for file, verify in given], how)

    patch.setattr(fanout, "contexts_for", lax)
