"""Mutants that know some statuses instead of their classes."""

from __future__ import annotations

import pytest

from deploy_relay_kit.relay import answer, upload
from tests.conformance import test_statuses
from tests.mutants.mutant import case, mutant


def change_successes(patch: pytest.MonkeyPatch, statuses: frozenset[int]) -> None:
    for module in (answer, upload):
        patch.setattr(module, "SUCCESS", statuses)


@mutant("HTTP-05", killed_by=case(test_statuses.test_every_status_below_300_is_a_success))
def only_the_usual_successes_are_known(patch: pytest.MonkeyPatch) -> None:
    change_successes(patch, frozenset({200, 201, 202, 203, 204, 205, 206, 207, 208, 226}))


@mutant(
    "RES-05",
    killed_by=case(
        test_statuses.test_every_other_status_is_a_failure, statuses=test_statuses.REDIRECTS
    ),
)
def not_modified_is_a_success(patch: pytest.MonkeyPatch) -> None:
    change_successes(patch, frozenset({*range(200, 300), 304}))


@mutant(
    "RES-05",
    killed_by=case(
        test_statuses.test_every_other_status_is_a_failure, statuses=test_statuses.REDIRECTS
    ),
)
def multiple_choices_is_a_success(patch: pytest.MonkeyPatch) -> None:
    change_successes(patch, frozenset(range(200, 301)))


def retry_also(patch: pytest.MonkeyPatch, *statuses: int) -> None:
    patch.setattr(answer, "_TRY_AGAIN", frozenset({502, 503, 504, *statuses}))


@mutant(
    "RTY-04",
    killed_by=case(
        test_statuses.test_no_other_status_is_retried, statuses=test_statuses.OF_THE_PEER
    ),
)
def every_failure_of_the_peer_is_retried(patch: pytest.MonkeyPatch) -> None:
    retry_also(patch, *range(500, 600))


@mutant(
    "RTY-04",
    killed_by=case(
        test_statuses.test_no_other_status_is_retried, statuses=test_statuses.OF_THE_CLIENT
    ),
)
def too_many_requests_is_retried(patch: pytest.MonkeyPatch) -> None:
    retry_also(patch, 429)


@mutant(
    "RTY-04",
    killed_by=case(
        test_statuses.test_no_other_status_is_retried, statuses=test_statuses.OF_THE_CLIENT
    ),
)
def too_early_is_retried(patch: pytest.MonkeyPatch) -> None:
    retry_also(patch, 425)


@mutant(
    "RTY-04",
    killed_by=case(test_statuses.test_no_other_status_is_retried, statuses=test_statuses.REDIRECTS),
)
def a_redirect_is_retried(patch: pytest.MonkeyPatch) -> None:
    retry_also(patch, 307, 308)
