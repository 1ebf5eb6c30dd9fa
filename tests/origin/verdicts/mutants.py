"""The reference origin with one bug each: `python -m tests.origin.verdicts.mutants NAME`.

A mutant names what it breaks, and the cases that must see it. It runs as an origin to judge, with
its bug in its process alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.origin import deploy, home, operations, server
from deploy_relay_kit.relay.origin.answers import RefusalError, answer_of
from deploy_relay_kit.relay.origin.record import journal, progress
from deploy_relay_kit.relay.origin.wire import fields, intake
from tests.conformance.origins import test_decide, test_events, test_receive
from tests.mutants.mutant import Case, case

Patch = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, tuple[Patch, str, Case]] = {}


def mutant(requirement: str, killed_by: Case) -> Callable[[Patch], Patch]:
    """Register a patch of the reference origin under its name."""

    def register(apply: Patch) -> Patch:
        MUTANTS[apply.__name__] = (apply, requirement, killed_by)
        return apply

    return register


# -- receive and stage ---------------------------------------------------------------------------


@mutant("RECV-01", case(test_receive.test_fields_after_the_file_are_ignored))
def fields_after_the_file_count(patch: pytest.MonkeyPatch) -> None:
    end, read = intake._Reader._end, intake._Reader.read

    async def forgetful(self: Any) -> None:
        was_file = self._file is not None
        await end(self)
        self._form.staged = self._form.staged and not was_file

    async def whole(self: Any, *how: Any) -> Any:
        form = await read(self, *how)
        form.staged = form.size > 0
        return form

    patch.setattr(intake._Reader, "_end", forgetful)
    patch.setattr(intake._Reader, "read", whole)


@mutant("RECV-02", case(test_receive.test_a_form_above_a_limit_is_refused_or_passed_on_whole))
def a_long_field_is_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "MAX_VALUE_BYTES", math.inf)
    patch.setattr(intake, "decoded", lambda text: fields.decoded(text[:1_000_000]))


@mutant(
    "RECV-02",
    case(test_receive.test_a_form_above_a_limit_is_refused_or_passed_on_whole, kind="many"),
)
def a_field_beyond_the_limit_is_dropped(patch: pytest.MonkeyPatch) -> None:
    add = intake._add

    def dropping(found: dict[str, object], *part: Any) -> None:
        if len(found) < 60:
            add(found, *part)

    patch.setattr(intake, "_add", dropping)


@mutant("RECV-03", case(test_receive.test_a_name_of_the_prototype_is_refused))
def names_of_the_prototype_are_fields(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(intake, "FORBIDDEN", set())


@mutant("RECV-04", case(test_receive.test_a_cut_form_is_no_deploy, place="file", ends="cleanly"))
def a_cut_file_is_a_file(patch: pytest.MonkeyPatch) -> None:
    def leave(self: Any, *_: object) -> None:
        self.close(check_complete=False)

    patch.setattr(f"{intake.__name__}.PushMultipartParser.__exit__", leave)


@mutant("RECV-04", case(test_receive.test_a_cut_form_is_no_deploy, place="file", ends="abruptly"))
def a_lost_connection_is_the_end_of_the_file(patch: pytest.MonkeyPatch) -> None:
    a_cut_file_is_a_file(patch)
    blocks = server.Node._blocks

    async def quiet(self: Any, request: Any) -> AsyncIterator[bytes]:
        with contextlib.suppress(RefusalError):
            async for block in blocks(self, request):
                yield block

    patch.setattr(server.Node, "_blocks", quiet)


@mutant(
    "RECV-05",
    case(test_receive.test_a_project_that_is_a_path_stays_inside, project="../../evil"),
)
def a_project_is_a_path(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fields, "project_of", lambda given: str(given["project"]))
    mkdir = Path.mkdir

    def with_parents(self: Path, *_: object, **__: object) -> None:
        mkdir(self, parents=True, exist_ok=True)

    patch.setattr(Path, "mkdir", with_parents)


@mutant("RECV-06", case(test_receive.test_a_stranger_is_refused_before_the_payload))
def everybody_may_deploy(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(operations.Operations, "may_deploy", lambda *_: None)


@mutant(
    "RECV-07",
    case(test_receive.test_a_field_of_any_bytes_does_not_fail_the_origin, kind="deep JSON"),
)
def a_deep_field_fails(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        intake,
        "decoded",
        lambda text: json.loads(text) if text[:1] == "[" else fields.decoded(text),
    )


@mutant(
    "RECV-07",
    case(test_receive.test_a_field_of_any_bytes_does_not_fail_the_origin, kind="punycode"),
)
def every_codec_is_a_charset(patch: pytest.MonkeyPatch) -> None:
    add = intake._add

    def undecoded(found: dict[str, object], part: Any, value: bytes) -> None:
        if part.charset:
            raise UnicodeError(part.charset)  # as the codecs punycode and idna do
        add(found, part, value)

    patch.setattr(intake, "_add", undecoded)


@mutant("STAGE-01", case(test_receive.test_payloads_do_not_pile_up))
def stages_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shutil, "rmtree", lambda *_, **__: None)


@mutant("STAGE-02", case(test_receive.test_a_client_names_no_staged_file))
def a_client_names_the_staged_file(patch: pytest.MonkeyPatch) -> None:
    replicate = deploy.Deploys._replicate

    async def of_the_client(self: Any, plan: Any, others: Any, payload: Path, *more: Any) -> Any:
        named = plan.given.get("_stagedPayloadPath", payload)
        return await replicate(self, plan, others, Path(named), *more)

    patch.setattr(deploy.Deploys, "_replicate", of_the_client)


# -- decide and answer ---------------------------------------------------------------------------


@mutant("GATE-01", case(test_decide.test_exactly_false_stays_on_the_origin))
def everything_fans_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fields, "fans_out", lambda _: True)


@mutant("GATE-02", case(test_decide.test_any_other_value_fans_out, value="False"))
def words_for_false_stay(patch: pytest.MonkeyPatch) -> None:
    words = {"false", "0", "no", ""}
    patch.setattr(
        fields,
        "fans_out",
        lambda given: str(given.get("replicated", "true")).strip().lower() not in words,
    )


@mutant("GATE-02", case(test_decide.test_any_other_value_fans_out, value=None))
def only_true_fans_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fields, "fans_out", lambda given: given.get("replicated") is True)


def change_given(patch: pytest.MonkeyPatch, **members: object) -> None:
    answer = answer_of

    def changed(
        done: str, message: str, given: Mapping[str, object], *more: Any, **how: Any
    ) -> Any:
        return answer(done, message, {**given, **members}, *more, **how)

    patch.setattr(f"{deploy.__name__}.answer_of", changed)


@mutant("ANSWER-01", case(test_decide.test_a_failed_node_fails_the_answer, ignores=False))
def failed_nodes_are_ignored(patch: pytest.MonkeyPatch) -> None:
    change_given(patch, ignore_replication_errors=True)


@mutant("ANSWER-01", case(test_decide.test_a_failed_node_fails_the_answer, ignores=True))
def failed_nodes_are_never_ignored(patch: pytest.MonkeyPatch) -> None:
    change_given(patch, ignore_replication_errors=False)


@mutant("ANSWER-02", case(test_decide.test_no_other_nodes_are_an_empty_list))
def no_records_are_no_member(patch: pytest.MonkeyPatch) -> None:
    answer = answer_of
    patch.setattr(
        f"{deploy.__name__}.answer_of",
        lambda done, message, given, facts, records, **how: answer(
            done, message, given, facts, records or None, **how
        ),
    )


@mutant("ANSWER-03", case(test_decide.test_a_second_deploy_of_a_project_waits_or_is_refused))
def deploys_of_a_project_overlap(patch: pytest.MonkeyPatch) -> None:
    class Open(asyncio.Lock):
        async def acquire(self) -> Any:
            return True

        def release(self) -> None:
            pass

    patch.setattr(asyncio, "Lock", Open)


@mutant("ANSWER-03", case(test_decide.test_two_uploads_at_once_reach_a_node_one_after_the_other))
def the_turn_is_looked_at_when_an_upload_begins(patch: pytest.MonkeyPatch) -> None:
    busy: set[str] = set()

    @contextlib.contextmanager
    def claim(_: Any, project: str) -> Iterator[None]:
        if project in busy:
            raise RefusalError(409, "busy")
        yield

    @contextlib.asynccontextmanager
    async def to_fan_out(_: Any, project: str, *__: object) -> AsyncIterator[None]:
        busy.add(project)
        yield
        busy.discard(project)

    patch.setattr(home.Turns, "claim", claim)
    patch.setattr(home.Turns, "to_fan_out", to_fan_out)


@mutant("ANSWER-04", case(test_decide.test_many_deploys_at_once_are_not_mixed))
def stages_have_one_name(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(secrets, "token_hex", lambda _: "stage")


@mutant("RECORD-01", case(test_decide.test_a_deploy_can_be_looked_up))
def the_record_is_not_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(journal.Journal, "change", lambda *_: None)


# -- events --------------------------------------------------------------------------------------


@mutant("EVENT-01", case(test_events.test_the_first_bytes_come_while_the_nodes_work))
def the_stream_begins_at_its_end(patch: pytest.MonkeyPatch) -> None:
    streamed = server.Node._streamed

    async def late(self: Any, request: Any, events: Any, last: Any) -> Any:
        await last()
        return await streamed(self, request, events, last)

    patch.setattr(server.Node, "_streamed", late)


@mutant("EVENT-02", case(test_events.test_a_stream_ends_once, fails=False))
def a_stream_ends_twice(patch: pytest.MonkeyPatch) -> None:
    last = server._last_event

    async def twice(task: Any) -> bytes:
        return await last(task) * 2

    patch.setattr(server, "_last_event", twice)


@mutant("EVENT-02", case(test_events.test_a_stream_ends_once, fails=True))
def nodes_are_not_told(patch: pytest.MonkeyPatch) -> None:
    emit = progress.Progress.emit

    def silent(self: Any, name: str, data: Any) -> None:
        if name != "peer":
            emit(self, name, data)

    patch.setattr(progress.Progress, "emit", silent)


@mutant(
    "EVENT-03",
    case(test_events.test_the_client_of_a_stream_does_not_stop_the_deploy, reads="leaves"),
)
def a_client_that_goes_stops_the_deploy(patch: pytest.MonkeyPatch) -> None:
    streamed = server.Node._streamed

    async def fragile(self: Any, request: Any, events: Any, last: Any) -> Any:
        (task,) = last.args

        async def watch() -> None:
            while request.transport is not None:  # noqa: ASYNC110  nothing reports its end
                await asyncio.sleep(0.01)
            task.cancel()

        watching = asyncio.create_task(watch())
        try:
            return await streamed(self, request, events, last)
        finally:
            watching.cancel()
            task.cancel()  # the client may have gone between two looks

    patch.setattr(server.Node, "_streamed", fragile)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[sys.argv[1]][0](patch)
        sys.exit(main(["serve", "--adapter"]))
