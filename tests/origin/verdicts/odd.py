"""Origins that are odd, and right: `python -m tests.origin.verdicts.odd NAME`.

Each is the reference origin with a change, and names the cases that must pass nevertheless.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiohttp import web

from deploy_relay_kit.relay import request
from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.origin import answers, home, server
from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.local import builds
from deploy_relay_kit.relay.origin.wire import intake
from tests.conformance.origins import test_decide, test_events, test_receive
from tests.mutants.mutant import Case, case

Patch = Callable[[pytest.MonkeyPatch], None]
ODD: dict[str, tuple[Patch, Sequence[Case]]] = {}


def odd(*cases: Case) -> Callable[[Patch], Patch]:
    """Register a patch of the reference origin under its name."""

    def register(apply: Patch) -> Patch:
        ODD[apply.__name__] = apply, cases
        return apply

    return register


@odd(
    case(test_decide.test_a_second_deploy_of_a_project_waits_or_is_refused),
    case(test_decide.test_two_uploads_at_once_reach_a_node_one_after_the_other),
)
def a_second_deploy_is_refused(patch: pytest.MonkeyPatch) -> None:
    make = home.Turns.__init__
    patch.setattr(home.Turns, "__init__", lambda self, **_: make(self, may_wait=False))


@odd(
    case(test_receive.test_a_form_above_a_limit_is_refused_or_passed_on_whole, kind="long"),
    case(test_receive.test_a_form_above_a_limit_is_refused_or_passed_on_whole, kind="many"),
    case(test_receive.test_a_field_of_any_bytes_does_not_fail_the_origin, kind="a long number"),
)
def all_that_is_too_large_is_a_bad_request(patch: pytest.MonkeyPatch) -> None:
    make = RefusalError.__init__

    def bad(self: RefusalError, status: int, error: str, **members: object) -> None:
        make(self, 400 if status == 413 else status, error, **members)

    patch.setattr(RefusalError, "__init__", bad)
    patch.setattr(intake, "MAX_VALUE_BYTES", 50_000)


@odd(
    case(test_events.test_the_first_bytes_come_while_the_nodes_work),
    case(test_events.test_a_stream_ends_once, fails=False),
    case(test_events.test_a_stream_ends_once, fails=True),
    case(test_events.test_the_client_of_a_stream_does_not_stop_the_deploy, reads="leaves"),
)
def a_stream_has_comments_ids_crlf_and_a_late_notice(patch: pytest.MonkeyPatch) -> None:
    encoded = answers.event_of

    def other(name: str, data: object) -> bytes:
        text = b": still here\n\nid: 7\n" + encoded(name, data)
        if name in {"done", "error"}:  # SSE-10
            text += encoded("_recorder_finished", {"status": "success"})
        return text.replace(b"\n", b"\r\n")

    patch.setattr(server, "event_of", other)


@odd(
    case(test_decide.test_a_failed_node_fails_the_answer, ignores=False),
    case(test_decide.test_no_other_nodes_are_an_empty_list),
    case(test_decide.test_a_deploy_can_be_looked_up),
    case(test_receive.test_a_stranger_is_refused_before_the_payload, login=""),
)
def every_answer_is_chunked_and_closes_its_connection(patch: pytest.MonkeyPatch) -> None:
    prepare = web.Response.prepare

    async def chunked(self: web.Response, request: Any) -> Any:
        self.force_close()
        self.enable_chunked_encoding()
        return await prepare(self, request)

    patch.setattr(web.Response, "prepare", chunked)


@odd(
    case(test_decide.test_exactly_false_stays_on_the_origin),
    case(test_decide.test_any_other_value_fans_out, value="False"),
    case(test_receive.test_fields_after_the_file_are_ignored),
)
def numbers_are_doubles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "decoded", request.decoded)


@odd(
    case(test_receive.test_payloads_do_not_pile_up),
    case(test_receive.test_a_cut_form_is_no_deploy, place="file", ends="cleanly"),
)
def a_third_build_is_kept(patch: pytest.MonkeyPatch) -> None:
    prune = builds.Builds._prune

    def late(self: Any, project: str) -> None:
        if len([*(self._directory / "builds" / project).iterdir()]) > 3:
            prune(self, project)

    patch.setattr(builds.Builds, "_prune", late)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        ODD[sys.argv[1]][0](patch)
        sys.exit(main(["serve", "--adapter"]))
