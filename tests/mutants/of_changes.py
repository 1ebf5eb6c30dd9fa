"""Mutants that overlook a change of the payload, or change the request, in a later attempt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy_relay_kit.relay import fanout, payload
from deploy_relay_kit.relay.errors import AttemptError, OriginError
from deploy_relay_kit.relay.payload import Block, StagedPayload
from deploy_relay_kit.relay.peer import Peer
from deploy_relay_kit.relay.retry import Retry
from tests.conformance import test_attempts, test_payload, test_payload_changes
from tests.mutants.mutant import alike, case, mutant

LATER = case(test_payload_changes.test_a_payload_that_grows_between_two_attempts_is_not_sent)
EMPTIED = case(
    test_payload_changes.test_a_payload_that_shrinks_fails_the_records_and_ends_no_body, left=0
)
EACH = case(test_attempts.test_every_attempt_has_a_new_token_and_the_payload_from_its_first_byte)


@mutant("BUG-14", "RES-11", killed_by=LATER)
def one_byte_more_is_no_change(patch: pytest.MonkeyPatch) -> None:
    check = payload._check_unchanged

    def lenient(file: Any, staged: StagedPayload) -> None:
        if os.fstat(file.fileno()).st_size != staged.size + 1:
            check(file, staged)

    patch.setattr(payload, "_check_unchanged", lenient)


@mutant("BUG-14", "RES-11", killed_by=EMPTIED)
def a_payload_that_is_emptied_ends_the_body(patch: pytest.MonkeyPatch) -> None:
    blocks = payload._blocks

    def lenient(file: Any, *how: Any) -> Iterator[Block]:
        try:
            yield from blocks(file, *how)
        except OriginError:
            if os.fstat(file.fileno()).st_size:
                raise

    patch.setattr(payload, "_blocks", lenient)


@mutant("RTY-04", killed_by=LATER)
def a_changed_payload_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    delay = Retry.delay

    def changed(self: Retry, failures: Sequence[AttemptError], random: Any) -> float | None:
        if failures[-1].stage == "payload" and len(failures) < self.attempts:
            return 0.0
        return delay(self, failures, random)

    patch.setattr(Retry, "delay", changed)


@mutant("RTY-03", killed_by=EACH)
def a_later_attempt_replicates(patch: pytest.MonkeyPatch) -> None:
    send = vars(fanout)["send"]
    known = set[int]()

    async def sent(upload: Any, peer: Peer) -> Any:
        if id(peer) in known:
            upload = replace(upload, fields={**upload.fields, "replicated": True})
        known.add(id(peer))
        return await send(upload, peer)

    patch.setattr(fanout, "send", sent)


def open_elsewhere(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    """Read the path of the payload in another way."""
    measure = vars(fanout)["measure"]
    patch.setattr(fanout, "measure", lambda path: measure(Path(change(str(path)))))


alike(
    open_elsewhere,
    "FLD-08",
    killed_by=case(
        test_payload.test_the_name_of_the_staged_file_is_not_sent, name=test_payload.ODD_NAME
    ),
    the_path_of_the_payload_has_no_blanks_at_its_ends=str.strip,
    the_path_of_the_payload_is_a_url=lambda path: path.partition("#")[0].partition("?")[0],
    the_path_of_the_payload_is_expanded=os.path.expandvars,
)
