"""Mutants of the framing of an upload, of its payload and of the form of its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from deploy_relay_kit.relay import payload
from deploy_relay_kit.relay.errors import OriginError
from deploy_relay_kit.relay.link import Part
from deploy_relay_kit.relay.payload import Block, StagedPayload
from deploy_relay_kit.relay.states import Step
from deploy_relay_kit.relay.upload import _Sending
from tests.conformance import test_payload, test_payload_changes
from tests.mutants.mutant import KEEPS_TO, alike, case, mutant
from tests.mutants.of_sending import change_blocks
from tests.mutants.of_wire import change_form

ANY_SIZE = test_payload.test_a_payload_of_any_size_arrives_whole


def cut_if(patch: pytest.MonkeyPatch, is_bad: Callable[[int], bool]) -> None:
    """Lose the last byte of payloads of certain sizes."""
    read = payload._blocks

    def shorter(file: Any, staged: StagedPayload, most: int) -> Iterator[Block | bytes]:
        left = staged.size
        for block in read(file, staged, most):
            left -= len(block)
            yield block if left or not is_bad(staged.size) else bytes(block)[:-1]

    patch.setattr(payload, "_blocks", shorter)


alike(
    cut_if,
    "FLD-08",
    killed_by=(case(ANY_SIZE, size=8_388_609), case(ANY_SIZE, size=10_240_000)),
    more_than_8_mebibytes_lose_a_byte=lambda size: size > 8_388_608,
)


@mutant(
    "FLD-08",
    killed_by=case(
        test_payload.test_a_payload_that_looks_like_its_own_end_arrives_whole,
        content=test_payload.PADDED,
    ),
)
def zeros_at_the_end_of_a_block_are_padding(patch: pytest.MonkeyPatch) -> None:
    change_blocks(patch, lambda blocks: (block.rstrip(b"\0") or block for block in blocks))


@mutant("WIRE-03", killed_by=case(KEEPS_TO))
def the_body_begins_with_an_empty_line(patch: pytest.MonkeyPatch) -> None:
    change_form(patch, lambda form: replace(form, head=b"\r\n" + form.head))


@mutant("WIRE-13", killed_by=case(KEEPS_TO))
def chunks_have_an_extension(patch: pytest.MonkeyPatch) -> None:
    chunk = Block.chunk

    def extended(self: Block) -> memoryview:
        size, end, data = bytes(chunk(self)).partition(b"\r\n")
        return memoryview(bytearray(size + b";n=1" + end + data))

    patch.setattr(Block, "chunk", extended)


@mutant(
    "RES-11",
    killed_by=case(test_payload_changes.test_a_payload_that_grows_fails_the_record),
)
def a_payload_is_compared_after_the_closing_delimiter(patch: pytest.MonkeyPatch) -> None:
    parts = _Sending._parts
    patch.setattr(payload, "_check_unchanged", lambda *_: None)

    async def compared(self: _Sending) -> AsyncIterator[Part]:
        async for part in parts(self):
            yield part
        staged = self.upload.payload
        if staged.path.stat().st_size != staged.size:
            error = OriginError("payload", "staged payload changed during the deploy")
            self._exchange.read_error = error
            self._exchange.advance(Step.READ_ERROR)
            raise error

    patch.setattr(_Sending, "_parts", compared)
