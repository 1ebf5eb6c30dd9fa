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
                files, skipped = pack(path, archive, exclude=exclude, leave_out=leave_out)
        except OSError as error:
            where = f": {printable(error.filename)}" if isinstance(error.filename, str) else ""
            words = error.strerror or str(error)
            if error.errno == errno.ENOSPC:
                words += f" in {tempfile.gettempdir()}; TMPDIR names another directory"
            raise InputError(f"cannot pack {str(path)!r}{where}: {words}") from error
        except RecursionError as error:
            why = "its directories are nested too deeply; give a .tar.gz"
            raise InputError(f"cannot pack {str(path)!r}: {why}") from error
        for name, why in skipped.items():
            note(f"relay: left out {printable(name)}: {why}")
        if not files:
            raise InputError(f"{str(path)!r} holds no files to deploy")
        tell(f"relay: packed {files:,} file(s), {package.stat().st_size:,} bytes")
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


def pack(
    root: Path,
    archive: BinaryIO,
    *,
    exclude: Collection[str] = (),
    leave_out: Collection[Path] = (),
) -> tuple[int, dict[str, str]]:
    """Write the tree under `root` to `archive` as a gzipped tar, in blocks.

    Symbolic links are followed, so the peer needs nothing from outside the tree. One that leads
    nowhere is skipped and reported, and what comes after it is still packed (BUG-22).

    Args:
        root: A directory.
        archive: Where to write; not closed.
        exclude: Patterns of a shell; what matches one by its name, or by its path below the root,
            is left out, whatever the path that leads to the root is called (BUG-23).
        leave_out: Files with credentials, which are reported where they lie in the tree.

    Returns:
        How many files went into it; and what did not, by its path below the root, with the reason.

    Raises:
        OSError: A file cannot be read, or shrank meanwhile.
    """
    # As people write paths and directories.
    exclude = [glob.removeprefix("./").strip("/") for glob in exclude]
    skipped: dict[str, str] = {}
    files = 0
    secret = {_identity(file.stat()) for file in leave_out if file.exists()}
    # No name and no time in the gzip header, and below no owner and no time: nothing of this
    # machine or this moment goes into the bytes.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=archive, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in _walk(root, root, (), exclude, skipped):
            member = tarfile.TarInfo(path.relative_to(root).as_posix())
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                member.mode = _EXECUTABLE_MODE
                tar.addfile(member)
                continue
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if _identity(status) in secret:
                    skipped[member.name] = "it holds credentials"
                    continue
                member.size = status.st_size
                member.mode = _EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else _FILE_MODE
                tar.addfile(member, file)
            files += 1
    return files, skipped


def _walk(
    root: Path,
    directory: Path,
    inside: tuple[_Identity, ...],
    exclude: Collection[str],
    skipped: dict[str, str],
) -> Iterator[Path]:
    """Yield what to pack, parents first, each directory sorted by name.

    `inside` are the directories on the way to `directory`, whatever links led there: a link to one
    of them, or two that lead into each other, would never end.
    """
    inside = (*inside, _identity(directory.stat()))
    for path in sorted(directory.iterdir(), key=lambda path: path.name):
        name = path.relative_to(root).as_posix()
        if any(fnmatchcase(called, glob) for glob in exclude for called in (path.name, name)):
            continue
        try:
            status = path.stat()
        except OSError as error:
            if not path.is_symlink():
                raise
            skipped[name] = f"dangling symbolic link: {error.strerror}"
            continue
        if stat.S_ISREG(status.st_mode):
            yield path
        elif not stat.S_ISDIR(status.st_mode):
            skipped[name] = "neither a file nor a directory"
        elif _identity(status) in inside:
            skipped[name] = "symbolic link to a directory that holds it"
        else:
            yield path
            yield from _walk(root, path, inside, exclude, skipped)


def _identity(status: os.stat_result) -> _Identity:
    """What tells one file from another, by whatever path it was reached."""
    return status.st_dev, status.st_ino
