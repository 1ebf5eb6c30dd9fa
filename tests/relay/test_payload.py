from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from relay.errors import OriginError
from relay.payload import BLOCK_BYTES, measure, opened

if TYPE_CHECKING:
    from pathlib import Path


async def read(path: Path) -> list[bytes]:
    async with opened(measure(path)) as reader:
        return [block async for block in reader.blocks()]


@pytest.mark.parametrize("size", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_the_whole_file_in_blocks(tmp_path: Path, size: int) -> None:
    path = tmp_path / "p"
    content = os.urandom(size)
    path.write_bytes(content)
    blocks = asyncio.run(read(path))
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= BLOCK_BYTES


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(OriginError) as failure:
        measure(tmp_path / "none")
    assert failure.value.stage == "payload"
    assert failure.value.reason.startswith("staged payload missing: ")
    assert str(tmp_path / "none") in failure.value.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(OriginError, match="not readable"):
        measure(path)


def test_a_file_replaced_by_another_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"old")
    before = measure(path)
    path.write_bytes(b"new")
    os.utime(path, ns=(0, before.changed_ns + 1))

    async def read_what_was_measured() -> None:
        async with opened(before) as reader:
            async for _ in reader.blocks():
                pass

    with pytest.raises(OriginError, match="changed"):
        asyncio.run(read_what_was_measured())
