"""What an archive may contain, and its unpacking.

An archive is read twice. The first pass walks the blocks without tarfile, because tarfile reads
an extended header of any size into memory and takes a broken header for the end of the archive.
Only what passes is unpacked.
"""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path, PurePosixPath

from deploy_relay_kit.relay.origin.config import MIB, Bounds
from deploy_relay_kit.relay.origin.refusal import RefusalError

_EXTENDED = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
_LONG = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_MAX_EXTENDED = 65_536
_MAX_DEPTH = 100
_MAX_NAME = 255  # bytes of a file's name, on all common file systems
_BLOCK = tarfile.BLOCKSIZE
_BROKEN = (
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    tarfile.TarError,
    ValueError,
    OverflowError,
    RecursionError,  # of many extended headers in a row
)
# A size in an extended header makes tarfile skip other bytes than the first pass did.
_DENIED = (b" size=", b" GNU.sparse", b" hdrcharset=")


def unpack(payload: Path, into: Path, bounds: Bounds) -> Path:
    """Unpack a tar or tar.gz into an empty directory.

    Returns:
        The root of the component: the directory, or the only one in it (DEP-04).

    Raises:
        RefusalError: The archive is broken, too large, or leaves its directory.
        OSError: The disk refuses.
    """
    try:
        with _opened(payload) as stream:
            _scan(stream, payload.stat().st_size, bounds)
        with (
            _opened(payload) as stream,
            tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as tar,
        ):
            return _extract(tar, into, bounds)
    except _BROKEN as error:
        raise RefusalError(400, f"the payload is no valid archive: {error}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        name = Path(error.filename).name if isinstance(error.filename, str) else "?"
        raise RefusalError(400, f"the archive has two entries at {name!r}") from None


@contextmanager
def _opened(payload: Path) -> Iterator[BufferedIOBase]:
    with payload.open("rb") as file:
        magic = file.read(2)
        file.seek(0)
        if not magic:
            raise RefusalError(400, "the payload is empty")
        if magic != b"\x1f\x8b":
            yield file
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream


def _scan(stream: BufferedIOBase, packed: int, bounds: Bounds) -> None:
    """Walk all headers and all bytes, so that checksums and limits hold before a file is made."""
    most = min(bounds.unpacked_bytes, max(packed * bounds.ratio, MIB))
    entries = read = 0
    ended = False
    while block := stream.read(_BLOCK):
        read += len(block)
        if ended or block.count(0) == len(block):
            ended = True
        else:
            entries += 1
            if entries > bounds.entries:
                raise RefusalError(413, f"the archive has more than {bounds.entries} entries")
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            read += _skip(stream, header, most - read)
        if read > most:
            raise RefusalError(413, f"the archive unpacks to more than {most} bytes")


def _skip(stream: BufferedIOBase, header: tarfile.TarInfo, most: int) -> int:
    """Read the content of an entry; return its size in the archive."""
    if header.size < 0 or header.type == tarfile.GNUTYPE_SPARSE:
        raise RefusalError(400, f"entry {header.name[:60]!r} is of an unsupported kind")
    kept = header.type in _EXTENDED | _LONG
    if kept and header.size > _MAX_EXTENDED:
        raise RefusalError(400, f"an extended header is longer than {_MAX_EXTENDED} bytes")
    if not (kept or header.isreg() or header.type not in tarfile.SUPPORTED_TYPES):
        return 0  # tarfile reads no content after directories, links and devices
    size = -(-header.size // _BLOCK) * _BLOCK
    if size > most:
        raise RefusalError(413, "the archive unpacks to more than the allowed bytes")
    left = size
    while left:
        data = stream.read(min(left, MIB))
        if not data:
            raise RefusalError(400, "the archive ends inside an entry")
        if header.type in _EXTENDED and any(word in data for word in _DENIED):
            raise RefusalError(400, "an extended header changes sizes, which is not supported")
        left -= len(data)
    return size


def _extract(tar: tarfile.TarFile, into: Path, bounds: Bounds) -> Path:
    links: dict[PurePosixPath, str] = {}
    while (entry := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # else it keeps every entry in memory
        path = _path_of(entry.name, bounds)
        if entry.issym():
            links[path] = entry.linkname
        elif entry.isreg() or entry.isdir():
            entry.name = str(path)
            tar.extract(entry, into, filter="data", numeric_owner=True)
        else:
            raise RefusalError(400, f"entry {entry.name[:60]!r} is no file, directory or link")
    tops = {it.name for it in into.iterdir()} | {path.parts[0] for path in links if path.parts}
    is_nested = len(tops) == 1 and PurePosixPath(*tops) not in links and (into / min(tops)).is_dir()
    root = PurePosixPath(*tops) if is_nested else PurePosixPath()
    # Links come last, so no file is ever written through one.
    for path, target in links.items():
        _check_link(path, target, root, links, bounds)
        place = into / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    return into / root


def _path_of(name: str, bounds: Bounds) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RefusalError(400, f"entry {name[:60]!r} leaves the component")
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if (
        len(os.fsencode(name)) > bounds.path_bytes
        or len(path.parts) > _MAX_DEPTH
        or longest > _MAX_NAME
    ):
        raise RefusalError(400, f"the path of entry {name[:60]!r} is too long")
    return path


def _check_link(
    path: PurePosixPath,
    target: str,
    root: PurePosixPath,
    links: dict[PurePosixPath, str],
    bounds: Bounds,
) -> None:
    """A link stays below the root, and on its way there is no other link to lead it out."""
    if target.startswith("/") or len(os.fsencode(target)) > bounds.path_bytes or not target:
        raise RefusalError(400, f"the symbolic link {str(path)[:60]!r} leaves the component")
    where = list(path.parent.parts)
    steps = [it for it in target.split("/") if it not in {"", "."}]
    for place, step in enumerate(steps):
        if step == ".." and len(where) == len(root.parts):
            raise RefusalError(400, f"the symbolic link {str(path)[:60]!r} leaves the component")
        where = where[:-1] if step == ".." else [*where, step]
        if place < len(steps) - 1 and PurePosixPath(*where) in links:
            raise RefusalError(400, f"the symbolic link {str(path)[:60]!r} leads through another")
    if any(parent in links for parent in path.parents):
        raise RefusalError(400, f"entry {str(path)[:60]!r} lies behind a symbolic link")
