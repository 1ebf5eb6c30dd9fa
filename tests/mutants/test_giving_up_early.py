"""Relays that give up every node at one stage pass no case that is about a later one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy_relay_kit.harness.judge.model import Verdict
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_cancel,
    test_combinations,
    test_early,
    test_fanout,
    test_faults,
    test_payload,
    test_payload_changes,
    test_posture,
    test_quotes,
    test_refusals,
    test_replication,
    test_sockets,
    test_streaming,
    test_tls,
    test_token,
    test_url,
    test_url_parts,
)
from tests.mutants.mutant import Case, Patch, case
from tests.mutants.of_sending import change_blocks, change_members

FIRST_BYTES = 50_000


def given_up() -> PeerError:
    return PeerError("upload", "given up")


def before_the_mint(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Peer) -> str:  # noqa: ARG001
        raise given_up()

    patch.setattr(Peer, "token", nothing)


def after_the_mint(patch: pytest.MonkeyPatch) -> None:
    token = Peer.token

    async def minted(self: Peer) -> str:
        await token(self)
        raise given_up()

    patch.setattr(Peer, "token", minted)


def sending(most: int) -> Patch:
    """Send so many bytes of the payload."""

    def cut(blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(blocks)[:most]
        raise OSError("given up")

    def apply(patch: pytest.MonkeyPatch) -> None:
        change_blocks(patch, cut)

    return apply


def before_the_answer(patch: pytest.MonkeyPatch) -> None:
    async def unread(*_: object) -> object:
        raise given_up()

    change_members(patch, unread)


NOTHING_IS_SENT = (
    case(test_url.test_the_fragment_of_a_url_is_sent_to_nobody),
    case(test_url.test_credentials_in_a_url_are_sent_to_nobody),
    case(test_url.test_an_unusable_url_costs_its_own_node_and_mints_nothing),
    case(test_url_parts.test_the_host_of_a_replication_url_is_used_and_its_port_is_not),
    case(test_payload.test_a_missing_payload_fails_every_peer_and_sends_nothing),
    case(test_payload.test_an_empty_payload_fails_every_peer_and_sends_nothing),
    case(test_fanout.test_a_deploy_to_no_nodes_has_no_records),
    case(test_sockets.test_a_missing_payload_opens_no_socket),
    case(test_sockets.test_a_cancelled_deploy_closes_its_sockets),
    case(test_quotes.test_a_given_token_that_cannot_be_used_is_in_no_record),
)
UPLOADS = (
    case(test_payload.test_the_staged_payload_is_left_as_it_was),
    case(test_cancel.test_no_peer_sees_a_complete_body_of_a_cancelled_deploy),
    case(test_streaming.test_the_payload_is_closed_after_a_cancelled_deploy),
    case(test_early.test_the_rest_of_a_refused_payload_is_not_sent),
    case(test_token.test_every_deploy_mints_one_token_for_each_peer),
)
WHOLE_UPLOADS = (
    case(test_payload_changes.test_a_payload_that_shrinks_fails_the_records_and_ends_no_body),
    case(test_payload_changes.test_a_payload_that_vanishes_ends_in_a_record),
    case(test_answers.test_an_answer_without_an_end_is_given_up_in_time),
    case(test_answers_framing.test_an_answer_of_a_hundred_megabytes_is_one_short_record),
    case(test_refusals.test_a_redirect_is_a_failure_and_not_followed),
    case(test_replication.test_a_socket_is_closed_after_its_answer_and_not_after_the_upload),
    case(test_faults.test_a_peer_that_closes_without_an_answer_costs_one_record),
)
ANSWERS = (
    case(test_answers.test_a_success_holds_the_members_of_the_answer),
    case(test_refusals.test_a_refusal_is_a_failed_record_with_reason_and_status),
)
STAGES: dict[str, tuple[Patch, tuple[Case, ...]]] = {
    "nothing": (before_the_mint, (*NOTHING_IS_SENT, *UPLOADS, *WHOLE_UPLOADS, *ANSWERS)),
    "mint": (after_the_mint, (*UPLOADS, *WHOLE_UPLOADS, *ANSWERS)),
    "first bytes": (sending(FIRST_BYTES), (*WHOLE_UPLOADS, *ANSWERS)),
    "no answer": (before_the_answer, ANSWERS),
}
"""How far each relay comes, and cases about what it does not come to."""


OF_TRUST = (
    case(test_tls.test_each_deploy_trusts_the_authorities_that_it_was_given),
    case(test_posture.test_the_authority_of_a_node_is_read_again_for_each_deploy),
)
OF_ROWS = test_combinations.test_a_fault_has_its_record_under_all_other_conditions
ROWS = {it.fault: it for it in test_combinations.rows()}.values()  # one for each fault


@pytest.mark.parametrize("case", [*OF_TRUST, *(case(OF_ROWS, row=it) for it in ROWS)])
def test_a_relay_that_connects_to_no_node_has_no_green_beside_its_red(
    case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_the_mint(monkeypatch)
    judged = case.run(request)
    assert not judged.error, judged.error
    assert [it for it in judged.checks if it.verdict is Verdict.PASSED] == []


@pytest.mark.parametrize(
    ("apply", "case"),
    [
        pytest.param(apply, it, id=f"{stage}-{it.name}")
        for stage, (apply, cases) in STAGES.items()
        for it in cases
    ],
)
def test_no_case_passes_that_a_relay_did_not_come_to(
    apply: Patch, case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(monkeypatch)
    judged = case.run(request)
    assert not judged.error, judged.error
    assert judged.verdict is not Verdict.PASSED, judged.checks
