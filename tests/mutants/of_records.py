"""Mutants of the records."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from yarl import URL

from deploy_relay_kit import relay as reference
from deploy_relay_kit.harness.faults.answers import Answer as Answered
from deploy_relay_kit.harness.faults.kinds import mint_refused
from deploy_relay_kit.relay import fanout, upload
from deploy_relay_kit.relay.answer import Answer, parse_json, success_members
from deploy_relay_kit.relay.errors import AttemptError, PeerError
from deploy_relay_kit.relay.report import Record, Report, failed_record, success_record
from tests.conformance import (
    test_answers,
    test_answers_framing,
    test_early,
    test_events,
    test_events_forms,
    test_fanout,
    test_faults,
    test_records,
    test_refusals,
    test_tls,
    test_token,
)
from tests.mutants.mutant import case, mutant
from tests.mutants.of_streams import change_error

OVER = test_fanout.test_nothing_is_in_progress_when_the_records_are_there
REFUSED = test_refusals.test_a_refusal_is_a_failed_record_with_reason_and_status


def change_report(
    patch: pytest.MonkeyPatch, change: Callable[[list[Record]], list[Record]]
) -> None:
    """Change the records of a finished deploy."""
    deploy = reference.deploy

    async def changed(*at: Any, **how: Any) -> Report:
        report = await deploy(*at, **how)
        return Report(change(report.records))

    patch.setattr(reference, "deploy", changed)


@mutant("KIT-08", killed_by=case(OVER))
def a_request_is_left_open(patch: pytest.MonkeyPatch) -> None:
    """After the deploy, a second mint of the first node begins, and does not end."""
    deploy = reference.deploy

    def leave(url: URL) -> None:
        sock = socket.create_connection((url.host or "", url.port or 0))
        begun = ssl._create_unverified_context().wrap_socket(sock)
        begun.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")

        def end_with_the_peer() -> None:
            with begun, contextlib.suppress(OSError):
                begun.recv(1)

        threading.Thread(target=end_with_the_peer, daemon=True).start()

    async def leaving(*, nodes: Sequence[reference.Node], **how: Any) -> Report:
        report = await deploy(nodes=nodes, **how)
        await asyncio.to_thread(leave, URL(nodes[0].url or ""))
        return report

    patch.setattr(reference, "deploy", leaving)


def without(member: str) -> Callable[[list[Record]], list[Record]]:
    return lambda records: [{n: v for n, v in r.items() if n != member} for r in records]


@mutant(
    "RES-01",
    killed_by=(
        case(test_answers.test_a_success_holds_the_members_of_the_answer),
        case(test_answers_framing.test_interim_answers_are_skipped),
    ),
)
def a_success_holds_nothing_of_the_answer(patch: pytest.MonkeyPatch) -> None:
    def bare(*what: Any) -> dict[str, object]:
        own = {"node", "status", "attempts"}
        return {name: it for name, it in success_record(*what).items() if name in own}

    patch.setattr(fanout, "success_record", bare)


@mutant(
    "RES-02",
    "AGG-03",
    killed_by=(
        case(test_answers.test_no_answer_changes_node_and_status),
        case(test_records.test_a_result_with_node_and_status_does_not_change_them),
    ),
    also={"KIT-07": "the peer sets the status to null"},
)
def the_peer_may_overwrite_node_and_status(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        fanout,
        "success_record",
        lambda node, members, *more: {**success_record(node, members, *more), **members},
    )


@mutant(
    "RES-05",
    killed_by=(
        case(REFUSED),
        case(test_events.test_a_refusal_instead_of_a_stream_has_its_reason),
        case(test_early.test_a_real_peer_refuses_a_payload_after_it_has_the_whole),
        case(test_token.test_a_token_that_may_not_deploy_is_a_failed_record_with_403),
    ),
)
def the_status_code_is_lost(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, without("statusCode"))


@mutant(
    "EARLY-12",
    killed_by=case(test_faults.test_a_peer_that_answers_408_is_a_failed_record_with_408),
)
def a_408_is_a_lost_connection(patch: pytest.MonkeyPatch) -> None:
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
        case(test_faults.test_a_peer_that_takes_no_connection_costs_one_record),
        case(test_refusals.test_a_connection_lost_is_a_failed_record_without_a_status_code),
        case(test_faults.test_a_host_that_does_not_exist_costs_one_record),
        case(test_faults.test_a_reset_at_any_byte_of_an_upload_costs_one_record),
        case(test_tls.test_a_handshake_that_fails_is_a_failed_record),
    ),
)
def a_lost_connection_has_a_status(patch: pytest.MonkeyPatch) -> None:
    of_events: set[object] = set()
    change_error(patch, lambda error, _: of_events.add(error.reason))

    def with_status(record: Record) -> Record:
        is_lost = record["status"] == "failed" and record["reason"] not in of_events
        return {"statusCode": 599, **record} if is_lost else record

    change_report(patch, lambda records: list(map(with_status, records)))


@mutant(
    "KIT-07",
    killed_by=(
        case(test_events_forms.test_an_error_event_of_any_form_is_a_failure_with_a_reason),
        case(test_early.test_a_refusal_after_which_the_peer_closes_is_a_failed_record_at_once),
        case(OVER),
    ),
)
def a_refusal_leaves_no_reason(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, without("reason"))


OWN = test_records.test_no_answer_changes_the_members_that_the_relay_sets


def merge_into_failures(patch: pytest.MonkeyPatch) -> None:
    """Add the `members` of a failure to its record."""

    def merged(node: str, failures: Sequence[AttemptError]) -> Record:
        return {**failed_record(node, failures), **vars(failures[-1]).get("members", {})}

    patch.setattr(fanout, "failed_record", merged)


@mutant("RES-02", "AGG-03", killed_by=case(OWN, status="failed"))
def a_refusal_is_merged_into_its_record(patch: pytest.MonkeyPatch) -> None:
    def noted(answer: Answer) -> dict[str, object]:
        try:
            return success_members(answer)
        except PeerError as error:
            vars(error)["members"] = parse_json(answer.text)
            raise

    patch.setattr(upload, "success_members", noted)
    merge_into_failures(patch)


@mutant("RES-02", "AGG-03", killed_by=case(OWN, answer_with=test_records.error_event))
def an_error_event_is_merged_into_its_record(patch: pytest.MonkeyPatch) -> None:
    change_error(patch, lambda error, data: vars(error).update(members=data))
    merge_into_failures(patch)


@mutant(
    "RES-02",
    killed_by=case(test_records.test_no_record_is_uncertain_after_an_answer_or_without_an_upload),
)
def everything_is_uncertain(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: [{**record, "uncertain": True} for record in records])


STAGE = test_records.test_a_stage_is_where_the_attempt_failed


@mutant("RES-02", killed_by=(case(STAGE, fault=Answered(500)), case(STAGE, fault=mint_refused())))
def every_stage_is_the_upload(patch: pytest.MonkeyPatch) -> None:
    change_report(patch, lambda records: [{**record, "stage": "upload"} for record in records])
