from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy_relay_kit.relay.errors import OriginError
from deploy_relay_kit.relay.payload import BLOCK_BYTES, Block, measure, opened


def read(path: Path) -> list[bytes]:
    with opened(measure(path)) as blocks:
        return [bytes(block) for block in blocks]


@pytest.mark.parametrize("size", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_the_whole_file_in_blocks(tmp_path: Path, size: int) -> None:
    path = tmp_path / "p"
    content = os.urandom(size)
    path.write_bytes(content)
    blocks = read(path)
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= BLOCK_BYTES


@pytest.mark.parametrize("size", [1, 15, 16, 255, 4_096, BLOCK_BYTES])
def test_a_block_is_a_chunk_whose_last_bytes_are_those_of_the_file(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "p"
    content = os.urandom(size)
    path.write_bytes(content)
    with path.open("rb", buffering=0) as file:
        for most in (size, BLOCK_BYTES):
            block = Block(most)
            assert block.read(file, most) == len(block) == size
            assert bytes(block) == content
            assert block.chunk() == b"%x\r\n%b\r\n" % (size, content)
            assert bytes(block) == content  # the framing is around it
            file.seek(0)


def test_a_shorter_block_after_a_longer_one_has_framing_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(bytes(range(20)))
    block = Block(16)
    with path.open("rb", buffering=0) as file:
        chunks = [bytes(block.chunk()) for _ in range(2) if block.read(file, 16)]
        assert block.read(file, 16) == 0
    assert chunks == [b"10\r\n%b\r\n" % bytes(range(16)), b"4\r\n%b\r\n" % bytes(range(16, 20))]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OriginError) as failure:
        measure(tmp_path / "none")
    assert failure.value.stage == "payload"
    assert failure.value.reason.startswith("staged payload missing: ")
    assert str(tmp_path / "none") in failure.value.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(OriginError, match="not readable"):
        measure(path)


def test_an_invalid_path_is_a_missing_payload(tmp_path: Path) -> None:
    with pytest.raises(OriginError, match=r"staged payload missing: .*embedded null"):
        measure(tmp_path / "a\0b")


def test_a_pipe_in_place_of_the_file_is_noticed_and_not_waited_for(tmp_path: Path) -> None:
    """An open pipe waits for its writer, and the whole event loop with it."""
    path = tmp_path / "p"
    path.write_bytes(b"old")
    before = measure(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OriginError, match="changed"), opened(before) as blocks:
        list(blocks)


@pytest.mark.parametrize(("replaced", "later"), [(False, 1), (False, 0), (True, 0)])
def test_a_file_replaced_by_another_of_the_same_size_is_noticed(
    tmp_path: Path, later: int, *, replaced: bool
) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"old")
    before = measure(path)
    written = path.stat().st_mtime_ns
    if replaced:
        path.rename(tmp_path / "old")
    path.write_bytes(b"new")
    os.utime(path, ns=(0, written + later))
    with pytest.raises(OriginError, match="changed"), opened(before) as blocks:
        list(blocks)
