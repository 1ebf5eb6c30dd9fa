"""Packs a component directory; the same tree gives the same bytes on every machine."""

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

ARCHIVES = (".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"  # the first bytes of a gzip file (RFC 1952, 2.3.1)
_FILE_MODE = 0o644
_EXECUTABLE_MODE = 0o755


@contextlib.contextmanager
def staged(
    path: Path,
    *,
    exclude: Collection[str],
    leave_out: Collection[Path],
    warn: Callable[[str], None],
    report: Callable[[str], None],
) -> Iterator[Path]:
    """The package to send: an archive as it is, or a directory packed to a temporary file.

    `warn` gets a line for everything that is left out, and `report` gets the progress.

    Raises:
        InputError: There is nothing to send.
    """
    if check_path(path):
        yield path
        return
    report(f"relay: packing {printable(str(path))}")
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
                words += f" in {tempfile.gettempdir()}; set TMPDIR to another directory"
            raise InputError(f"cannot pack {str(path)!r}{where}: {words}") from error
        except RecursionError as error:
            why = "its directories are nested too deeply; give a .tar.gz"
            raise InputError(f"cannot pack {str(path)!r}: {why}") from error
        for name, why in packed.skipped.items():
            warn(f"relay: left out {printable(name)}: {why}")
        for glob in packed.unused:
            warn(f"relay: --exclude {printable(glob)} matches no file")
        if not packed.files:
            raise InputError(f"{str(path)!r} holds no files to deploy")
        report(f"relay: packed {packed.files:,} file(s), {package.stat().st_size:,} bytes")
        yield package


def check_path(path: Path) -> bool:
    """Whether the path is an archive, not a directory.

    Raises:
        InputError: It is neither.
    """
    begin = b""
    try:
        mode = path.stat().st_mode
        is_archive = stat.S_ISREG(mode) and path.name.endswith(ARCHIVES)
        if is_archive:
            with path.open("rb") as file:
                begin = file.read(len(_GZIP))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else error
        remedy = "give a directory or a .tar.gz"
        raise InputError(f"cannot read {str(path)!r}: {why}; {remedy}") from error
    if not (is_archive or stat.S_ISDIR(mode)):
        raise InputError(f"{str(path)!r} is neither a directory nor a .tar.gz")
    if is_archive and begin != _GZIP:
        raise InputError(f"{str(path)!r} is not gzipped, or empty; give a directory or a .tar.gz")
    return is_archive


@dataclass
class Packed:
    """The result of packing a directory."""

    files: int = 0
    skipped: dict[str, str] = field(default_factory=dict)  # reasons by path below the root
    unused: list[str] = field(default_factory=list)  # exclude patterns that match nothing


def pack(
    root: Path,
    archive: BinaryIO,
    *,
    exclude: Collection[str] = (),
    leave_out: Collection[Path] = (),
) -> Packed:
    """Write the tree under `root` to `archive` as a gzipped tar, in blocks.

    Symbolic links are followed, so the peer needs nothing from outside the tree. A dangling link is
    skipped and reported, and the rest is still packed (BUG-22).

    Args:
        root: A directory.
        archive: Where to write; not closed.
        exclude: Shell patterns. A match with a name, or with a path below the root, is left out;
            the path of the root itself does not count (BUG-23).
        leave_out: Files with credentials, which are left out and reported.

    Raises:
        OSError: A file cannot be read, or shrank while it was packed.
    """
    tree = _Tree(root, exclude)
    packed = Packed(skipped=tree.skipped)
    secret = {_identity(file.stat()) for file in leave_out if file.exists()}
    # Without names, owners and times, the bytes depend on nothing but the tree.
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
                    if error.errno is not None:  # of the archive
                        raise
                    why = "it became shorter while it was packed"
                    raise OSError(errno.EIO, why, str(path)) from error
            packed.files += 1
    packed.unused = [glob for glob in exclude if glob not in tree.used]
    return packed


class _Tree:
    """Selects what to pack of a directory."""

    def __init__(self, root: Path, exclude: Collection[str]) -> None:
        self.root = root
        self.patterns = {glob: self._from_root(glob) for glob in exclude}
        self.used: set[str] = set()
        self.skipped: dict[str, str] = {}

    def _from_root(self, glob: str) -> str:
        """A pattern relative to the root, from one as people, shells and ignore files write it."""
        glob = glob.removeprefix("./").removeprefix(f"{self.root.as_posix()}/")
        return glob.removeprefix("**/").strip("/")

    def walk(
        self, directory: Path, above: tuple[tuple[int, int], ...] = ()
    ) -> Iterator[tuple[Path, str]]:
        """Yield what to pack with its path below the root, parents first, sorted by name.

        A link to a directory above it is skipped, because following it would never end.
        """
        above = (*above, _identity(directory.stat()))
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
            elif _identity(status) in above:
                self.skipped[name] = "symbolic link to a directory that holds it"
            else:
                yield path, name
                yield from self.walk(path, above)

    def _is_excluded(self, *names: str) -> bool:
        matching = {
            glob
            for glob, pattern in self.patterns.items()
            if any(fnmatchcase(name, pattern) for name in names)
        }
        self.used |= matching
        return bool(matching)


def _identity(status: os.stat_result) -> tuple[int, int]:
    """A file's identity, which is the same for all its paths."""
    return status.st_dev, status.st_ino
