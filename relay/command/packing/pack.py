"""Packs a component directory; the same tree gives the same bytes on every machine."""

import functools
import os
import stat
import tarfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

from deploy_relay_kit.relay.command.packing.packed import OnProgress, Packed
from deploy_relay_kit.relay.command.packing.secrets import sensitive
from deploy_relay_kit.relay.command.packing.stream import GzipStream
from deploy_relay_kit.relay.command.packing.tree import Entry, Identity, Tree, identity
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import open_at_once

_FILE_MODE = 0o644
_EXECUTABLE_MODE = 0o755
_BLOCK = 1 << 20
_TRIES = 3
_PAUSE = 0.2  # seconds, for the writer of a file to end


def pack(
    root: Path,
    archive: BinaryIO,
    *,
    exclude: Collection[str] = (),
    leave_out: Collection[Path] = (),
    on_progress: OnProgress = lambda *_: None,
) -> Packed:
    """Write the tree under `root` to `archive` as a gzipped tar, in blocks.

    Symbolic links are followed, so the peer needs nothing from outside the tree. A dangling link is
    skipped and reported, and the rest is still packed (BUG-22). A file that changes while it is
    read is read again.

    Args:
        root: A directory; see `Tree`.
        archive: Where to write, and to seek; not closed.
        exclude: Shell patterns; see `Tree`.
        leave_out: Files with credentials, and files that the relay writes; left out and reported.
        on_progress: Called after each block.

    Raises:
        InputError: A file keeps changing, or links multiply the tree.
        OSError: A file cannot be read.
    """
    tree = Tree(root, exclude)
    packed = Packed(skipped=tree.skipped, notes=tree.notes)
    own = {identity(file.stat()) for file in leave_out if file.exists()}
    entries = list(tree.entries())  # all errors of the tree come before the first byte
    _Packer(archive, packed, own, sum(it.size for it in entries if not it.is_directory)).pack(
        entries, on_progress
    )
    packed.unused = tree.unused
    return packed


class _Packer:
    def __init__(self, archive: BinaryIO, packed: Packed, own: set[Identity], total: int) -> None:
        self._stream = GzipStream(archive)
        self._packed, self._own, self._total = packed, own, total

    def pack(self, entries: list[Entry], on_progress: OnProgress) -> None:
        done = 0
        for entry in entries:
            if entry.is_directory:
                self._note_secret(sensitive(entry.name, is_directory=True))
                self._header(entry.name, tarfile.DIRTYPE, _EXECUTABLE_MODE)
                continue
            self._file(entry, functools.partial(_report, on_progress, done, self._total))
            done += entry.size
        end = 2 * tarfile.BLOCKSIZE
        self._stream.write(bytes(end + -(self._stream.size + end) % tarfile.RECORDSIZE))
        self._stream.close()
        self._packed.sha256 = self._stream.sha256.hexdigest()

    def _file(self, entry: Entry, on_progress: Callable[[int], object]) -> None:
        mark = self._stream.mark()
        for again in reversed(range(_TRIES)):
            with open_at_once(entry.path) as file:
                status = os.fstat(file.fileno())
                if identity(status) in self._own:
                    self._packed.skipped[entry.name] = "it holds credentials, or is written now"
                    return
                is_file = stat.S_ISREG(status.st_mode)  # still
                if is_file and self._is_whole(file, entry, status, on_progress):
                    self._packed.files += 1
                    return
            self._stream.back_to(mark)
            if again:
                time.sleep(_PAUSE)
        raise InputError(
            f"{str(entry.path)!r} keeps changing while it is packed; "
            "wait for its writer, or leave the file out with --exclude"
        )

    def _is_whole(
        self,
        file: BinaryIO,
        entry: Entry,
        before: os.stat_result,
        on_progress: Callable[[int], object],
    ) -> bool:
        """Pack the file as it is now; whether it did not change during this."""
        mode = _EXECUTABLE_MODE if before.st_mode & stat.S_IXUSR else _FILE_MODE
        self._header(entry.name, tarfile.REGTYPE, mode, before.st_size)
        size = 0
        secret = sensitive(entry.name)
        # One byte more than expected shows that it grew.
        while block := file.read(min(_BLOCK, before.st_size - size + 1)):
            if not size:
                secret = sensitive(entry.name, block)
            size += len(block)
            if size > before.st_size:
                return False
            self._stream.write(block)
            on_progress(size)
        if size < before.st_size or _version(os.fstat(file.fileno())) != _version(before):
            return False
        self._stream.write(bytes(-size % tarfile.BLOCKSIZE))
        self._note_secret(secret)
        return True

    def _header(self, name: str, kind: bytes, mode: int, size: int = 0) -> None:
        # Without owners and times, the bytes depend on nothing but the tree.
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.size = kind, mode, size
        self._stream.write(member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def _note_secret(self, what: str) -> None:
        if what:
            self._packed.sensitive.append(what)


def _report(on_progress: OnProgress, before: int, total: int, size: int) -> None:
    on_progress(before + size, total)


def _version(status: os.stat_result) -> tuple[int, int, int]:
    """What differs after a change; the time of the inode counts, as mtime can be set back."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
