"""The package to send: an archive as it is, or a temporary file for a directory or a pipe."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy_relay_kit.relay.command.output import printable
from deploy_relay_kit.relay.command.packing.packed import OnProgress, Packed
from deploy_relay_kit.relay.command.packing.temporary import temporary_directory
from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.files import STANDARD_INPUT

ARCHIVES = (".tar.gz", ".tgz")
_GZIP = b"\x1f\x8b"  # the first bytes of a gzip file (RFC 1952, 2.3.1)
_BLOCK = 1 << 20
_NAMED = 5  # how many secret files a warning names


@dataclass(frozen=True)
class Package:
    """A staged payload; its size in bytes."""

    path: Path
    size: int
    packed: Packed | None = None  # None: it was given as an archive

    def sha256(self) -> str:
        """The digest, as hexadecimal digits; an archive is read for it."""
        if self.packed is not None:
            return self.packed.sha256
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def members(self) -> dict[str, object]:
        """The package in a JSON document."""
        return {"bytes": self.size, "sha256": self.sha256()}


@contextlib.contextmanager
def staged(
    path: Path,
    *,
    exclude: Collection[str],
    leave_out: Collection[Path],
    warn: Callable[[str], None],
    report: Callable[[str], None],
    progress: AbstractContextManager[OnProgress],
) -> Iterator[Package]:
    """Yield the package to send.

    `warn` gets a line for everything that is left out, comes from elsewhere, or may be secret;
    `report` gets a line when packing begins and ends, `progress` the bytes in between.

    Raises:
        InputError: There is nothing to send.
    """
    if check_path(path) and path != STANDARD_INPUT:
        yield Package(path, path.stat().st_size)
        return
    with contextlib.ExitStack() as cleanup:
        if path == STANDARD_INPUT:
            report("relay: reading the package from standard input")
            with _failing("read the package from standard input"):
                piped, file = cleanup.enter_context(private_file())
                _copy_standard_input(piped)
            yield Package(file, piped.tell())
            return
        # Only for a directory: importing it takes longer than a small deploy.
        from deploy_relay_kit.relay.command.packing.pack import pack  # noqa: PLC0415

        report(f"relay: packing {printable(str(path))}")
        with _failing(f"pack {str(path)!r}"):
            file = cleanup.enter_context(temporary_directory()) / "package.tar.gz"
            with file.open("wb") as archive, progress as on_progress:
                packed = pack(
                    path, archive, exclude=exclude, leave_out=leave_out, on_progress=on_progress
                )
        _warn(packed, warn)
        if not packed.files:
            raise InputError(f"{str(path)!r} holds no files to deploy")
        size = file.stat().st_size
        report(f"relay: packed {packed.files:,} file(s), {size:,} bytes")
        yield Package(file, size, packed)


@contextlib.contextmanager
def private_file() -> Iterator[tuple[IO[bytes], Path]]:
    """A temporary file of this user alone, and its path.

    On Linux no directory has it, so nothing is left of it after SIGKILL either. Its path leads to
    the descriptor of this process, for processes that it starts, too.
    """
    numbers = Path(f"/proc/{os.getpid()}/fd")
    file: IO[bytes]
    with contextlib.ExitStack() as cleanup:
        if numbers.is_dir():
            file = tempfile.TemporaryFile()  # noqa: SIM115  `_close` closes it
            path = numbers / str(file.fileno())
        else:
            file = cleanup.enter_context(tempfile.NamedTemporaryFile(prefix="relay-")).file
            path = Path(file.name)
        cleanup.callback(_close, file)
        yield file, path


def _close(file: IO[bytes]) -> None:
    """Close a file, whose buffer may hold what a full disk did not take."""
    with contextlib.suppress(OSError):
        file.close()


def _copy_standard_input(archive: IO[bytes]) -> None:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("it is a terminal, or closed; pipe a .tar.gz")
    with open(0, "rb", closefd=False) as source:
        begin = source.read(len(_GZIP))
        if begin != _GZIP:
            raise InputError("it is not gzipped, or empty; pipe a .tar.gz")
        archive.write(begin)
        shutil.copyfileobj(source, archive, _BLOCK)
    archive.flush()


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    """Name what could not be done in each error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"cannot {what}: {error}") from error
    except OSError as error:
        where = f": {printable(error.filename)}" if isinstance(error.filename, str) else ""
        words = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            words += f" in {tempfile.gettempdir()}; set TMPDIR to another directory"
        raise InputError(f"cannot {what}{where}: {words}") from error
    except RecursionError as error:
        why = "its directories are nested too deeply; give a .tar.gz"
        raise InputError(f"cannot {what}: {why}") from error


def _warn(packed: Packed, warn: Callable[[str], None]) -> None:
    for name, why in packed.skipped.items():
        warn(f"relay: left out {printable(name)}: {why}")
    for name, what in packed.notes.items():
        warn(f"relay: {printable(name)} {printable(what)}")
    for glob in packed.unused:
        warn(f"relay: --exclude {printable(glob)} matches no file")
    if secrets := packed.sensitive:
        names = ", ".join(printable(name) for name in secrets[:_NAMED])
        more = f" and {len(secrets) - _NAMED:,} more" if len(secrets) > _NAMED else ""
        warn(
            f"relay: warning: {names}{more} may hold secrets and will reach every node, as with "
            "Harper's own CLI; --exclude or a .deployignore leaves them out"
        )


def check_path(path: Path) -> bool:
    """Whether the path is an archive, not a directory; so is the standard input.

    Raises:
        InputError: It is neither.
    """
    begin = b""
    if path == STANDARD_INPUT:
        return True
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
