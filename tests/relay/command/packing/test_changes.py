"""Files that change while they are packed."""

from __future__ import annotations

import io
import os
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_relay_kit.relay.command.packing.pack import pack
from deploy_relay_kit.relay.command.packing.staging import private_file
from deploy_relay_kit.relay.errors import InputError

MIB = 1 << 20
Change = Callable[[Path], object]


def rewrite(path: Path) -> None:
    """Other content of the same size; the time of the old one is set back."""
    before = path.stat()
    path.write_bytes(b"n" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one line more\n")


def shrink(path: Path) -> None:
    os.truncate(path, max(1, path.stat().st_size - 1_000))


def replace(path: Path) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(b"r" * path.stat().st_size)
    new.replace(path)


CHANGES = pytest.mark.parametrize("change", [rewrite, grow, shrink, replace])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "demo"
    root.mkdir()
    (root / "a-first").write_bytes(os.urandom(3 * MIB))
    (root / "changing").write_bytes(b"o" * (4 * MIB))
    (root / "last").write_bytes(os.urandom(100_001))
    return root


def packed(root: Path, during: Callable[[int], object]) -> bytes:
    archive = io.BytesIO()
    pack(root, archive, on_progress=lambda done, _: during(done))
    return archive.getvalue()


def into(file: str, root: Path, change: Change, times: int) -> Callable[[int], None]:
    """Change a file while it is packed, after its first block, so many times."""
    first = (root / "a-first").stat().st_size + MIB

    def during(done: int) -> None:
        nonlocal times
        if done == first and times:
            times -= 1
            change(root / file)

    return during


@CHANGES
def test_a_file_that_changes_once_is_packed_as_it_is_then(root: Path, change: Change) -> None:
    archive = packed(root, into("changing", root, change, times=1))
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        names = [name for name in tar.getnames() if not name.endswith(".new")]
        assert names == ["a-first", "changing", "last"]
        for name in names:
            file = tar.extractfile(name)
            assert file is not None
            assert file.read() == (root / name).read_bytes()
    assert archive == packed(root, lambda _: None)  # no byte of the first try is left


@CHANGES
def test_a_file_that_keeps_changing_is_named(root: Path, change: Change) -> None:
    with pytest.raises(InputError, match="keeps changing while it is packed") as caught:
        packed(root, into("changing", root, change, times=99))
    assert repr(str(root / "changing")) in str(caught.value)


def test_progress_tells_all_bytes(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    pack(root, io.BytesIO(), on_progress=lambda *progress: seen.append(progress))
    total = sum(path.stat().st_size for path in root.iterdir())
    assert {of for _, of in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)
    assert len(seen) > 5


def test_a_pipe_in_place_of_a_file_is_not_waited_for(root: Path) -> None:
    def replace_by_pipe(_: int) -> None:
        if (root / "last").is_file():
            (root / "last").unlink()
            os.mkfifo(root / "last")

    with pytest.raises(InputError, match="last' keeps changing while it is packed"):
        packed(root, replace_by_pipe)


def test_a_disk_that_is_full_stays_the_reason_when_the_file_is_closed() -> None:
    """The buffer of a file is written when it is closed, which then fails again."""

    def fill() -> None:
        with private_file() as (file, _):
            file.write(bytes(100))
            raise InputError("the disk is full")

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(InputError, match="full"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
