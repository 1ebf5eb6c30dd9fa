"""Mutants of the status code and of the form of a failed record."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

import pytest

from deploy_relay_kit.harness import Answer as Answered
from deploy_relay_kit.harness import CertificateFlaw
from deploy_relay_kit.relay import answer, upload
from deploy_relay_kit.relay.answer import Answer, success_members
from deploy_relay_kit.relay.errors import PeerError
from deploy_relay_kit.relay.report import Record
from tests.conformance import (
    test_mint_failures,
    test_reading,
    test_records,
    test_refusals,
    test_statuses,
    test_url,
)
from tests.mutants.mutant import alike, case
from tests.mutants.of_records import change_report

REASON = case(test_reading.test_the_reason_of_a_refusal_is_that_of_its_body)
CODE = test_statuses.test_every_other_status_is_a_failure
STAGE = test_records.test_a_stage_is_where_the_attempt_failed


def change_code(patch: pytest.MonkeyPatch, change: Callable[[Answer, int], int | None]) -> None:
    """Change the status code in the record of a refusal."""

    def changed(given: Answer) -> dict[str, object]:
        try:
            return success_members(given)
        except PeerError as error:
            if error.status_code is not None:
                error.status_code = change(given, error.status_code)
            raise

    patch.setattr(upload, "success_members", changed)


def _member(given: Answer, *names: str) -> int | None:
    value = answer.parse_json(given.text)
    found = [value.get(n) for n in names] if isinstance(value, dict) else []
    return next((it for it in found if isinstance(it, int)), None)


alike(
    change_code,
    "RES-05",
    killed_by=REASON,
    the_code_of_a_body_is_the_status=lambda it, code: _member(it, "code") or code,
    the_status_of_a_body_is_the_status=lambda it, code: _member(it, "status") or code,
    the_status_code_of_a_body_is_the_status=lambda it, code: _member(it, "statusCode") or code,
)


alike(
    change_code,
    "RES-05",
    killed_by=case(CODE, statuses=test_statuses.OF_THE_PEER),
    a_status_is_that_of_its_class=lambda _, code: code // 100 * 100,
    a_server_error_is_502=lambda _, code: 502 if code in (503, 504) else code,
    an_unknown_status_is_500=lambda _, code: code if code in set(HTTPStatus) else 500,
)


def change_failed(patch: pytest.MonkeyPatch, change: Callable[[Record], Record]) -> None:
    """Change failed records."""
    change_report(
        patch, lambda records: [change(it) if it["status"] == "failed" else it for it in records]
    )


def without_code(is_one: Callable[[int], bool]) -> Callable[[Record], Record]:
    """Leave out the status code if it is one of these."""
    return lambda it: {n: v for n, v in it.items() if n != "statusCode" or not is_one(v)}


alike(
    change_failed,
    "RES-05",
    killed_by=case(CODE),
    an_unknown_status_is_none=without_code(lambda it: it not in set(HTTPStatus)),
    a_redirect_has_no_status=without_code(lambda it: it < 400),
    a_status_code_is_a_text=lambda it: (
        {**it, "statusCode": str(it["statusCode"])} if "statusCode" in it else it
    ),
    a_status_code_has_a_fraction=lambda it: (
        {**it, "statusCode": it["statusCode"] + 0.5} if "statusCode" in it else it
    ),
    a_status_code_has_another_name=lambda it: {
        "status_code" if n == "statusCode" else n: v for n, v in it.items()
    },
    a_status_code_is_called_code=lambda it: {
        "code" if n == "statusCode" else n: v for n, v in it.items()
    },
)
alike(
    change_failed,
    "RES-05",
    killed_by=case(CODE, statuses=test_statuses.OF_THE_CLIENT),
    a_408_has_no_status=without_code(lambda it: it == 408),
)
alike(
    change_failed,
    "RES-05",
    killed_by=case(CODE, statuses=test_statuses.OF_THE_PEER),
    a_refusal_of_the_peer_has_no_status=without_code(lambda it: it >= 500),
)
alike(
    change_failed,
    "RES-10",
    killed_by=case(test_refusals.test_a_connection_lost_is_a_failed_record_without_a_status_code),
    a_status_code_is_null=lambda it: {"statusCode": None, **it},
    a_status_code_is_zero=lambda it: {"statusCode": 0, **it},
    a_status_code_is_minus_one=lambda it: {"statusCode": -1, **it},
    a_status_code_is_500=lambda it: {"statusCode": 500, **it},
    a_status_code_is_empty=lambda it: {"statusCode": "", **it},
    a_status_code_is_502=lambda it: {"statusCode": 502, **it},
)
alike(
    change_failed,
    "KIT-07",
    killed_by=case(STAGE, fault=Answered(500)),
    a_status_is_called_error=lambda it: {**it, "status": "error"},
    a_status_is_in_capitals=lambda it: {**it, "status": "FAILED"},
    a_status_is_false=lambda it: {**it, "status": False},
    a_reason_is_an_object=lambda it: {**it, "reason": {"message": it["reason"]}},
    a_reason_is_called_error=lambda it: {"error" if n == "reason" else n: v for n, v in it.items()},
    a_reason_is_called_message=lambda it: {
        "message" if n == "reason" else n: v for n, v in it.items()
    },
    a_reason_is_a_list=lambda it: {**it, "reason": [it["reason"]]},
)
alike(
    change_failed,
    "KIT-07",
    killed_by=case(STAGE),
    a_reason_of_connecting_is_empty=lambda it: {
        **it,
        "reason": "" if it.get("stage") == "connect" else it["reason"],
    },
)
alike(
    change_failed,
    "KIT-07",
    killed_by=case(STAGE, fault=CertificateFlaw.EXPIRED),
    a_reason_of_tls_is_empty=lambda it: {
        **it,
        "reason": "" if it.get("stage") == "tls" else it["reason"],
    },
)
alike(
    change_failed,
    "KIT-07",
    killed_by=case(test_refusals.test_a_connection_lost_is_a_failed_record_without_a_status_code),
    a_reason_of_answering_is_empty=lambda it: {
        **it,
        "reason": "" if it.get("stage") == "answer" and "statusCode" not in it else it["reason"],
    },
)
alike(
    change_failed,
    "KIT-07",
    killed_by=case(test_url.test_an_unusable_url_costs_its_own_node_and_mints_nothing),
    a_reason_of_a_url_is_empty=lambda it: {
        **it,
        "reason": "" if it.get("stage") == "resolve" else it["reason"],
    },
)
alike(
    change_failed,
    *("KIT-07", "SEQ-06"),
    killed_by=case(test_mint_failures.test_a_mint_without_an_answer_is_given_up_in_time),
    a_reason_of_a_timeout_is_empty=lambda it: {
        **it,
        "reason": "" if re.search(r" in [\d.]+ s$", it["reason"]) else it["reason"],
    },
)
