"""A component directory as a deploy package: the same tree gives the same bytes, on any machine."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from relay.command.display import printable
from relay.errors import InputError

_Identity = tuple[int, int]

ARCHIVES = (".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"  # how any gzip file begins (RFC 1952 section 2.3.1)
_FILE_MODE = 0o644
_EXECUTABLE_MODE = 0o755


@contextlib.contextmanager
def staged(
    path: Path,
    *,
    exclude: Collection[str],
    leave_out: Collection[Path],
    note: Callable[[str], None],
    tell: Callable[[str], None],
) -> Iterator[Path]:
    """The package to send: the given archive, or the given directory packed to a temporary one.

    `note` is told what is left out, and `tell` how far it is.

    Raises:
        InputError: There is nothing to send.
    """
    if check_path(path):
        yield path
        return
    tell(f"relay: packing {printable(str(path))}")
    with contextlib.ExitStack() as cleanup:
        try:
            directory = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="relay-"))
            package = Path(directory) / "package.tar.gz"
            with package.open("wb") as archive:
                packed = pack(path, archive, exclude=exclude, leave_out=leave_out)
        except OSError as error:
            where = f": {printable(error.filename)}" if isinstance(error.filename, str) else ""
            words = error.strerror or str(error)
            if error.errno == errno.ENOSPC:
                words += f" in {tempfile.gettempdir()}; TMPDIR names another directory"
            raise InputError(f"cannot pack {str(path)!r}{where}: {words}") from error
        except RecursionError as error:
            why = "its directories are nested too deeply; give a .tar.gz"
            raise InputError(f"cannot pack {str(path)!r}: {why}") from error
        for name, why in packed.skipped.items():
            note(f"relay: left out {printable(name)}: {why}")
        for glob in packed.unused:
            note(f"relay: --exclude {printable(glob)} fits nothing")
        if not packed.files:
            raise InputError(f"{str(path)!r} holds no files to deploy")
        tell(f"relay: packed {packed.files:,} file(s), {package.stat().st_size:,} bytes")
        yield package


def check_path(path: Path) -> bool:
    """Whether this is an archive, not a directory.

    Raises:
        InputError: It is neither.
    """
    try:
        is_archive = not stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"cannot use {str(path)!r}: {why}; give a directory or a .tar.gz"
        ) from error
    if is_archive:
        _check_archive(path)
    return is_archive


def _check_archive(path: Path) -> None:
    if not (path.name.endswith(ARCHIVES) and path.is_file()):
        raise InputError(f"{str(path)!r} is neither a directory nor a .tar.gz")
    try:
        with path.open("rb") as file:
            begin = file.read(len(_GZIP))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if begin != _GZIP:
        raise InputError(f"{str(path)!r} is not gzipped, or empty; give a directory or a .tar.gz")


@dataclass
class Packed:
    """What became of a tree.

    files: How many went into the package.
    skipped: What did not, by its path below the root, with the reason.
    unused: Patterns of what to exclude that nothing fits, as they were given.
    """

    files: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def pack(
    root: Path,
    archive: BinaryIO,
    *,
    exclude: Collection[str] = (),
    leave_out: Collection[Path] = (),
) -> Packed:
    """Write the tree under `root` to `archive` as a gzipped tar, in blocks.

    Symbolic links are followed, so the peer needs nothing from outside the tree. One that leads
    nowhere is skipped and reported, and what comes after it is still packed (BUG-22).

    Args:
        root: A directory.
        archive: Where to write; not closed.
        exclude: Patterns of a shell; what fits one by its name, or by its path below the root, is
            left out, whatever the path that leads to the root is called (BUG-23).
        leave_out: Files with credentials, which are reported where they lie in the tree.

    Raises:
        OSError: A file cannot be read, or shrank meanwhile.
    """
    tree = _Tree(root, exclude)
    packed = Packed(skipped=tree.skipped)
    secret = {_identity(file.stat()) for file in leave_out if file.exists()}
    # No name and no time in the gzip header, and below no owner and no time: nothing of this
    # machine or this moment goes into the bytes.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=archive, compresslevel=6, mtime=0) as gzipped,
        tarfile.open(fileobj=gzipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path, name in tree.walk(root):
            member = tarfile.TarInfo(name)
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                member.mode = _EXECUTABLE_MODE
                tar.addfile(member)
                continue
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if _identity(status) in secret:
                    packed.skipped[name] = "it holds credentials"
                    continue
                member.size = status.st_size
                member.mode = _EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else _FILE_MODE
                try:
                    tar.addfile(member, file)
                except OSError as error:
                    if error.errno is not None:  # the package cannot be written
                        raise
                    why = "it became shorter while it was packed"
                    raise OSError(errno.EIO, why, str(path)) from error
            packed.files += 1
    packed.unused = [glob for glob, pattern in tree.patterns.items() if pattern not in tree.used]
    return packed


class _Tree:
    """A directory as it is packed; what is not comes to stand in `skipped`, or is excluded."""

    def __init__(self, root: Path, exclude: Collection[str]) -> None:
        self.root = root
        self.patterns = {glob: self._from_root(glob) for glob in exclude}
        self.used: set[str] = set()
        self.skipped: dict[str, str] = {}

    def _from_root(self, glob: str) -> str:
        """As people, shells and ignore files write paths, also with the root's own before them."""
        glob = glob.removeprefix("./").removeprefix(f"{self.root.as_posix()}/")
        return glob.removeprefix("**/").strip("/")

    def walk(
        self, directory: Path, inside: tuple[_Identity, ...] = ()
    ) -> Iterator[tuple[Path, str]]:
        """Yield what to pack and its path below the root, parents first, sorted by name.

        `inside` are the directories on the way to `directory`, whatever links led there: a link to
        one of them, or two that lead into each other, would never end.
        """
        inside = (*inside, _identity(directory.stat()))
        for path in sorted(directory.iterdir(), key=lambda path: path.name):
            name = path.relative_to(self.root).as_posix()
            if self._is_excluded(path.name, name):
                continue
            try:
                status = path.stat()
            except OSError as error:
                if not path.is_symlink():
                    raise
                self.skipped[name] = f"dangling symbolic link: {error.strerror}"
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, name
            elif not stat.S_ISDIR(status.st_mode):
                self.skipped[name] = "neither a file nor a directory"
            elif _identity(status) in inside:
                self.skipped[name] = "symbolic link to a directory that holds it"
            else:
                yield path, name
                yield from self.walk(path, inside)

    def _is_excluded(self, *called: str) -> bool:
        patterns = self.patterns.values()
        fitting = {it for it in patterns if any(fnmatchcase(name, it) for name in called)}
        self.used |= fitting
        return bool(fitting)


def _identity(status: os.stat_result) -> _Identity:
    """What tells one file from another, by whatever path it was reached."""
    return status.st_dev, status.st_ino
