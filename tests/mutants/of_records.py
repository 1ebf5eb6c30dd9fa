"""Mutants of the records and of the way from a peer's fate to its record."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import relay as reference
from harness.faults import HangInHandshake, MintHangs
from relay import fanout, upload
from relay.answer import success_members
from relay.connection import Peer
from relay.fanout import FanOut
from relay.report import Report
from tests.conformance import (
    test_answers,
    test_early,
    test_events,
    test_fanout,
    test_faults,
    test_isolation,
    test_payload,
    test_retry,
    test_streaming,
    test_tls,
    test_token,
    test_wire,
)
from tests.mutants.mutant import case, mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from relay.report import Record

REFUSED = test_answers.test_a_refusal_is_a_failed_record_with_reason_and_status
ORDER = case(test_fanout.test_records_come_in_node_order)


def change_report(
    patch: pytest.MonkeyPatch, change: Callable[[list[Record]], list[Record]]
) -> None:
    """Change the records after all is done."""
    deploy = reference.deploy

    async def changed(*at: Any, **how: Any) -> Report:
        report = await deploy(*at, **how)
        return Report(change(report.records))

    patch.setattr(reference, "deploy", changed)


def without(member: str) -> Callable[[list[Record]], list[Record]]:
    return lambda records: [{n: v for n, v in r.items() if n != member} for r in records]


@mutant(
    "RES-01",
    killed_by=(
        case(test_answers.test_a_success_holds_the_members_of_the_answer),
        case(test_answers.test_interim_answers_are_passed_over),
    ),
)
def a_success_holds_nothing_of_the_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fanout, "success_record", lambda node, *_: {"node": node, "status": "success"})


@mutant(
    "RES-02",
    killed_by=(
        case(test_answers.test_node_and_status_are_the_relays_own),
        case(test_events.test_a_result_with_node_and_status_does_not_change_them),
    ),
)
def the_peer_may_overwrite_node_and_status(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        fanout,
        "success_record",
        lambda node, members, *_: {"node": node, "status": "success", **members},
    )


@mutant(
    "RES-05",
    killed_by=(
        case(REFUSED),
        case(test_events.test_a_refusal_in_the_place_of_a_stream_has_its_reason),
        case(test_token.test_a_token_that_may_not_deploy_is_a_failed_record_with_403),
    ),
)
def the_status_code_is_lost(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, without("statusCode"))


@mutant(
    "EARLY-12",
    killed_by=case(test_faults.test_a_peer_that_has_lost_patience_is_a_failed_record_with_408),
)
def a_408_is_taken_for_a_lost_connection(patch: pytest.MonkeyPatch) -> None:
    change_report(
        patch,
        lambda records: [
            {n: v for n, v in r.items() if n != "statusCode"} if r.get("statusCode") == 408 else r
            for r in records
        ],
    )


@mutant(
    "RES-10",
    killed_by=(
        case(test_answers.test_a_connection_lost_is_a_failed_record_without_a_status),
        case(test_faults.test_a_connection_that_never_is_costs_one_record),
        case(test_faults.test_a_host_that_does_not_exist_costs_one_record),
        case(test_faults.test_a_reset_anywhere_in_an_upload_costs_one_record),
        case(test_tls.test_a_handshake_that_fails_is_a_failed_record),
    ),
)
def a_lost_connection_has_a_status_of_its_own(patch: pytest.MonkeyPatch) -> None:
    change_report(
        patch,
        lambda records: [
            {"statusCode": 599, **r} if r["status"] == "failed" else r for r in records
        ],
    )


@mutant(
    "EARLY-02",
    killed_by=(
        case(test_early.test_a_refusal_behind_which_the_peer_closes_is_a_failed_record_at_once),
        case(test_early.test_a_real_peer_refuses_a_payload_when_it_has_it_all),
        case(test_early.test_a_refusal_behind_a_hundred_continue_is_the_answer),
    ),
)
def a_refusal_leaves_no_reason(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, without("reason"))


# -- all nodes -----------------------------------------------------------------------------------


@mutant("AGG-01", killed_by=ORDER)
def records_are_sorted_by_name(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: sorted(records, key=lambda record: str(record["node"])))


@mutant(
    "AGG-03",
    killed_by=(
        case(test_answers.test_node_and_status_are_the_relays_own),
        case(test_faults.test_nothing_but_failures_is_a_report_like_any_other),
        case(test_payload.test_a_payload_that_vanishes_on_the_way_ends_in_a_record),
    ),
    spares=case(test_wire.test_an_accept_header_admits_json),
)
def records_have_no_names(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, without("node"))


@mutant("AGG-05", killed_by=case(test_fanout.test_a_deploy_to_no_nodes_has_no_records))
def no_nodes_have_a_record(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: records or [{"node": "", "status": "success"}])


@mutant(
    "AGG-02",
    killed_by=(
        case(test_faults.test_a_connection_that_never_is_costs_one_record),
        case(test_isolation.test_the_fate_of_a_peer_is_its_own),
        case(test_faults.test_a_peer_that_closes_without_an_answer_costs_one_record),
        case(test_payload.test_a_directory_is_no_payload),
    ),
)
def a_failure_breaks_the_deploy(patch: pytest.MonkeyPatch) -> None:
    def broken(records: list[Record]) -> list[Record]:
        for record in records:
            if record["status"] == "failed":
                raise reference.InputError(f"{record['node']}: {record['reason']}")
        return records

    change_report(patch, broken)


@mutant(
    "AGG-02",
    "AGG-04",
    killed_by=case(test_fanout.test_an_answer_nested_too_deeply_costs_one_record),
)
def answers_are_parsed_when_all_have_come(patch: pytest.MonkeyPatch) -> None:
    def parsed(record: Record) -> Record:
        text = str(record.get("message"))
        try:
            return {**record, **json.loads(text)} if text[:1] in {"{", "["} else record
        except RecursionError as error:
            raise reference.InputError(str(error)) from error

    patch.setattr(upload, "success_members", lambda a: success_members(a) and {"message": a.text})
    change_report(patch, lambda records: list(map(parsed, records)))


@mutant(
    "AGG-04",
    killed_by=(
        case(test_fanout.test_one_failing_peer_leaves_the_others_untouched),
        case(test_isolation.test_the_fate_of_a_peer_is_its_own),
        case(test_retry.test_a_peer_is_tried_again_on_its_own),
    ),
)
def one_failure_fails_all(patch: pytest.MonkeyPatch) -> None:
    def change(records: list[Record]) -> list[Record]:
        failed = [record for record in records if record["status"] == "failed"]
        return [{**(failed[0] if failed else r), "node": r["node"]} for r in records]

    change_report(patch, change)


@mutant(
    "SEQ-03",
    killed_by=(
        case(test_streaming.test_all_peers_are_served_at_once),
        case(test_streaming.test_a_peer_that_stalls_delays_no_other),
    ),
)
def peers_are_served_in_turn(patch: pytest.MonkeyPatch) -> None:
    begin = FanOut.__init__

    def in_turn(self: FanOut, *at: Any, **how: Any) -> None:
        begin(self, *at, **how)
        self._places = asyncio.Semaphore(1)

    patch.setattr(FanOut, "__init__", in_turn)


LATE = test_streaming.test_no_upload_waits_for_a_peer_that_has_not_got_so_far


@mutant(
    "SEQ-03",
    "AGG-04",
    killed_by=(case(LATE, fault=MintHangs()), case(LATE, fault=HangInHandshake())),
)
def every_token_is_minted_before_any_upload(patch: pytest.MonkeyPatch) -> None:
    run, token = FanOut.run, Peer.token
    barrier = asyncio.Barrier(1)

    async def counted(self: FanOut, *at: Any) -> Report:
        nonlocal barrier
        barrier = asyncio.Barrier(len(self._ways))
        return await run(self, *at)

    async def together(self: Peer) -> str:
        try:
            return await token(self)
        finally:
            await barrier.wait()

    patch.setattr(FanOut, "run", counted)
    patch.setattr(Peer, "token", together)
