"""Relays that leave out what a case is about, and do the rest well: the case does not pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from deploy_relay_kit.harness import Refuse
from deploy_relay_kit.harness.judge.model import Verdict
from deploy_relay_kit.harness.targets import DeployNode, Outcome
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.reference import ReferenceTarget
from deploy_relay_kit.relay.peer import Peer
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_attempts_counted,
    test_cancel,
    test_events,
    test_faults,
    test_final,
    test_floods,
    test_memory,
    test_names,
    test_neighbours,
    test_payload_changes,
    test_plain,
    test_posture,
    test_quotes,
    test_refused_requests,
    test_retry_after,
    test_sockets,
    test_sockets_trust,
    test_statuses,
    test_streaming,
    test_url,
    test_url_grammar,
    test_wire,
)
from tests.mutants.mutant import Case, Patch, case
from tests.mutants.of_sending import change_blocks, change_members
from tests.mutants.test_giving_up_early import FIRST_BYTES, given_up

MANY = 4  # blocks: more than the small payload has
Deploy = Callable[[DeployCommand], Awaitable[Outcome]]


def change_deploy(
    patch: pytest.MonkeyPatch, change: Callable[[Deploy, DeployCommand], Awaitable[Outcome]]
) -> None:
    """Change what is done with a deploy command; `change` also gets the reference's way."""
    deploy = ReferenceTarget._deploy

    async def changed(self: ReferenceTarget, command: DeployCommand) -> Outcome:
        return await change(lambda it: deploy(self, it), command)

    patch.setattr(ReferenceTarget, "_deploy", changed)


def later_deploys(patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Whether the first deploy of the case is over."""
    begun: list[DeployCommand] = []

    def counted(deploy: Deploy, command: DeployCommand) -> Awaitable[Outcome]:
        begun.append(command)
        return deploy(command)

    change_deploy(patch, counted)
    return lambda: len(begun) > 1


def change_token(patch: pytest.MonkeyPatch, gives_up: Callable[[], bool], *, minted: bool) -> None:
    """Give up before or after the mint."""
    token = Peer.token

    async def changed(self: Peer) -> str:
        if gives_up() and not minted:
            raise given_up()
        got = await token(self)
        if gives_up():
            raise given_up()
        return got

    patch.setattr(Peer, "token", changed)


def a_later_deploy_opens_no_connection(patch: pytest.MonkeyPatch) -> None:
    change_token(patch, later_deploys(patch), minted=False)


def a_later_deploy_only_mints(patch: pytest.MonkeyPatch) -> None:
    change_token(patch, later_deploys(patch), minted=True)


def a_later_deploy_sends_first_bytes(patch: pytest.MonkeyPatch) -> None:
    is_later = later_deploys(patch)

    def cut(blocks: Iterator[bytes]) -> Iterator[bytes]:
        if is_later():
            yield next(blocks)[:FIRST_BYTES]
            raise OSError("given up")
        yield from blocks

    change_blocks(patch, cut)


def serve(
    patch: pytest.MonkeyPatch, choose: Callable[[tuple[DeployNode, ...]], tuple[DeployNode, ...]]
) -> None:
    """Deploy to some of the nodes; the others have failed records."""

    async def some(deploy: Deploy, command: DeployCommand) -> Outcome:
        outcome = await deploy(replace(command, nodes=choose(command.nodes)))
        if outcome.refused is not None or outcome.cancelled:
            return outcome
        records = {record.node: dict(record.members) for record in outcome.records}
        failed = {"status": "failed", "reason": "given up"}
        return Outcome.of(
            [records.get(it.name, {"node": it.name, **failed}) for it in command.nodes]
        )

    change_deploy(patch, some)


def several_nodes_are_none(patch: pytest.MonkeyPatch) -> None:
    serve(patch, lambda nodes: nodes if len(nodes) == 1 else ())


def the_last_node_is_served_alone(patch: pytest.MonkeyPatch) -> None:
    serve(patch, lambda nodes: nodes[-1:])


def no_body_of_an_answer_is_read(patch: pytest.MonkeyPatch) -> None:
    async def unread(*_: object) -> object:
        raise given_up()

    change_members(patch, unread)


def nothing_is_retried(patch: pytest.MonkeyPatch) -> None:
    async def once(deploy: Deploy, command: DeployCommand) -> Outcome:
        return await deploy(replace(command, limits=replace(command.limits, attempts=1)))

    change_deploy(patch, once)


def a_large_payload_is_cut(patch: pytest.MonkeyPatch) -> None:
    def cut(blocks: Iterator[bytes]) -> Iterator[bytes]:
        for number, block in enumerate(blocks):
            if number == MANY:
                raise OSError("given up")
            yield block

    change_blocks(patch, cut)


def plain_http_is_never_used(patch: pytest.MonkeyPatch) -> None:
    serve(patch, lambda nodes: tuple(it for it in nodes if "https" in (it.url or "https")))


def the_authority_of_a_node_is_ignored(patch: pytest.MonkeyPatch) -> None:
    async def without(deploy: Deploy, command: DeployCommand) -> Outcome:
        none: dict[str, Path | None] = {"ca_file": None}
        return await deploy(
            replace(command, nodes=tuple(replace(it, **none) for it in command.nodes))
        )

    change_deploy(patch, without)


def a_cancelled_deploy_goes_on(patch: pytest.MonkeyPatch) -> None:
    async def through(deploy: Deploy, command: DeployCommand) -> Outcome:
        outcome = await deploy(replace(command, cancel_after=None))
        return outcome if command.cancel_after is None else Outcome(cancelled=True)

    change_deploy(patch, through)


def a_deploy_is_cancelled_before_it_begins(patch: pytest.MonkeyPatch) -> None:
    async def at_once(deploy: Deploy, command: DeployCommand) -> Outcome:
        return await deploy(command) if command.cancel_after is None else Outcome(cancelled=True)

    change_deploy(patch, at_once)


def no_events_are_requested(patch: pytest.MonkeyPatch) -> None:
    async def plain(deploy: Deploy, command: DeployCommand) -> Outcome:
        return await deploy(replace(command, events=False))

    change_deploy(patch, plain)


FRAGMENT = case(test_url.test_the_fragment_of_a_url_is_sent_to_nobody)
REPLACED = case(test_payload_changes.test_a_payload_that_is_replaced_is_not_sent_as_the_first_one)
SHRINKS = case(test_payload_changes.test_a_payload_that_shrinks_before_it_is_read_fails_the_record)
OF_BLOCKS = (
    case(test_payload_changes.test_a_payload_that_shrinks_fails_the_records_and_ends_no_body),
    case(test_payload_changes.test_a_payload_that_grows_fails_the_record),
    case(test_payload_changes.test_a_payload_that_vanishes_ends_in_a_record),
)
CANCELLED = (
    case(test_streaming.test_the_payload_is_closed_after_a_cancelled_deploy),
    case(test_cancel.test_no_peer_sees_a_complete_body_of_a_cancelled_deploy),
    case(test_cancel.test_a_cancelled_deploy_closes_its_connections_at_every_stage),
)
NAMED = test_wire.test_no_name_of_a_member_makes_a_part_that_peers_refuse
LAZY: dict[Patch, tuple[Case, ...]] = {
    a_later_deploy_opens_no_connection: (
        FRAGMENT,
        case(test_sockets_trust.test_plain_ws_to_another_machine_is_refused),
        case(NAMED, name="a\0b"),
    ),
    a_later_deploy_only_mints: (FRAGMENT, REPLACED, SHRINKS),
    a_later_deploy_sends_first_bytes: (
        *OF_BLOCKS,
        SHRINKS,
        REPLACED,
        case(test_faults.test_a_peer_that_is_back_is_served_again),
    ),
    several_nodes_are_none: (
        FRAGMENT,
        case(test_names.test_two_nodes_of_one_name_are_refused_or_have_a_record_each),
        case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused),
        case(
            test_refused_requests.test_a_value_without_a_json_form_is_refused_before_anything_is_sent
        ),
    ),
    the_last_node_is_served_alone: (
        case(test_cancel.test_no_peer_sees_a_complete_body_of_a_cancelled_deploy),
        case(test_faults.test_a_peer_that_takes_no_connection_costs_one_record, fault=Refuse()),
        case(test_faults.test_a_host_that_does_not_exist_costs_one_record),
        case(test_sockets.test_an_unusable_url_opens_no_socket),
        case(test_url.test_an_unusable_url_costs_its_own_node_and_mints_nothing),
        case(test_url_grammar.test_what_is_no_url_of_an_operations_api_costs_its_own_node),
    ),
    no_body_of_an_answer_is_read: (
        case(test_answers_framing.test_an_answer_of_a_hundred_megabytes_is_one_short_record),
        case(test_memory.test_memory_does_not_grow_with_an_answer, status=200),
        case(test_answers.test_an_answer_without_an_end_is_given_up_in_time),
        case(test_floods.test_an_answer_without_end_costs_its_own_record_alone),
        case(test_quotes.test_a_password_that_a_peer_quotes_is_in_no_record),
        case(test_quotes.test_a_token_that_a_peer_quotes_is_in_no_record),
    ),
    nothing_is_retried: (
        case(test_attempts_counted.test_every_other_failure_is_final),
        case(test_attempts_counted.test_every_error_of_a_stream_is_final),
        case(test_attempts_counted.test_nothing_is_retried_unless_the_deploy_allows_it),
        case(test_statuses.test_no_other_status_is_retried),
        case(test_retry_after.test_a_retry_after_makes_no_other_status_temporary),
        case(test_attempts_counted.test_every_limit_holds_in_the_second_attempt),
        case(test_attempts_counted.test_every_other_status_of_a_mint_is_final),
        case(test_payload_changes.test_a_payload_that_grows_between_two_attempts_is_not_sent),
        case(test_posture.test_a_certificate_is_verified_after_a_handshake_that_failed),
        case(test_cancel.test_nothing_is_retried_after_a_deploy_was_cancelled),
        case(test_final.test_an_answer_of_any_other_kind_is_final),
        case(test_final.test_an_event_stream_that_has_begun_is_final),
        case(test_final.test_a_success_is_final),
        case(test_final.test_an_answer_that_has_begun_is_final),
        case(test_final.test_a_whole_upload_without_an_answer_is_not_sent_again),
        case(test_final.test_a_bad_certificate_is_final),
        case(test_final.test_an_answer_of_any_other_kind_to_a_mint_is_final),
        case(test_final.test_an_expired_token_is_replaced_once_at_most),
        case(test_final.test_a_payload_that_shrinks_is_not_sent_again),
    ),
    a_large_payload_is_cut: OF_BLOCKS,
    plain_http_is_never_used: (
        case(test_plain.test_plain_http_to_another_machine_is_refused),
        case(test_plain.test_plain_http_to_a_name_that_looks_like_this_machine_is_refused),
    ),
    a_cancelled_deploy_goes_on: CANCELLED,
    a_deploy_is_cancelled_before_it_begins: CANCELLED,
    no_events_are_requested: (
        case(test_events.test_a_stream_is_requested_by_its_media_type),
        case(test_events.test_a_real_peer_sends_its_refusal_as_an_event),
        case(test_events.test_a_real_peer_fails_inside_its_stream),
    ),
    the_authority_of_a_node_is_ignored: (
        case(test_neighbours.test_a_node_with_its_own_authority_is_verified_like_any_other),
    ),
}
"""What each relay leaves out, and the cases about it."""


@pytest.mark.parametrize(
    ("apply", "case"),
    [
        pytest.param(apply, it, id=f"{apply.__name__}-{it.name}")
        for apply, cases in LAZY.items()
        for it in cases
    ],
)
def test_a_case_does_not_pass_without_what_it_is_about(
    apply: Patch, case: Case, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(monkeypatch)
    judged = case.run(request)
    assert not judged.error, judged.error
    assert judged.verdict is not Verdict.PASSED, judged.checks
