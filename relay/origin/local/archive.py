"""What an archive may contain, and its unpacking.

`tarfile` reads extended headers of any size into memory, and takes a broken header for the end of
the archive. So it reads by way of `_Source`, which bounds what it reads.
"""

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from deploy_relay_kit.relay.origin.answers import RefusalError
from deploy_relay_kit.relay.origin.config import MIB, Bounds

_MAX_HEADERS = 131_072  # bytes of all headers of one entry, which tarfile keeps in memory
_MAX_GLOBAL = 100  # records for all entries, likewise
_MAX_DEPTH = 100
_MAX_MEMBERS = 100_000
_MAX_NAME = 255  # bytes of a file's name, on all common file systems
_BLOCK = 65_536
_GZIP = zlib.MAX_WBITS | 16
_MANY_DIGITS = re.compile(rb"\d{300}")  # tarfile needs minutes for 64 KiB of them (CVE-2024-6232)
_BROKEN = (
    EOFError,
    zlib.error,
    tarfile.TarError,
    ValueError,
    OverflowError,
    RecursionError,  # of many extended headers in a row
)
_Links = dict[PurePosixPath, str]


def unpack(payload: Path, into: Path, bounds: Bounds) -> Path:
    """Unpack a tar or tar.gz into an empty directory.

    Return the root of the component: the directory, or the only one in it (DEP-04).
    """
    most = min(bounds.unpacked_bytes, max(payload.stat().st_size * bounds.ratio, MIB))
    try:
        with payload.open("rb") as file:
            source = _Source(_blocks_of(file), most)
            with tarfile.TarFile(fileobj=source, errorlevel=2, copybufsize=_BLOCK) as tar:
                links = _extract(tar, source, into, bounds)
            source.end()
        return _linked(links, into, bounds)
    except _BROKEN as error:
        raise RefusalError(400, f"the payload is no valid archive: {error}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        place = error.filename2 or error.filename  # of a link, the first is its target
        name = Path(place).name if isinstance(place, str) else "?"
        raise RefusalError(400, f"the archive has two entries at {name!r}") from None


def _blocks_of(file: BinaryIO) -> Iterator[bytes]:
    block = file.read(_BLOCK)
    if not block:
        raise RefusalError(400, "the payload is empty")
    if not block.startswith(b"\x1f\x8b"):
        yield block
        yield from iter(partial(file.read, _BLOCK), b"")
        return
    # The module `gzip` reads a name in a header byte by byte, and has no limit of members.
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            if not (block := block or file.read(_BLOCK)):
                raise EOFError("it ends inside a gzip")
            yield member.decompress(block, _BLOCK)
            block = member.unconsumed_tail
        block = member.unused_data.lstrip(b"\0")  # zeros may follow a member
        while not block:
            if not (block := file.read(_BLOCK)):
                return
            block = block.lstrip(b"\0")
    raise RefusalError(400, f"the payload has more than {_MAX_MEMBERS} gzip members")


class _Source(BufferedIOBase):
    """The bytes of an archive for tarfile: forward only, in small pieces, up to a limit."""

    def __init__(self, blocks: Iterator[bytes], most: int) -> None:
        self._blocks, self._most = blocks, most
        self._read = bytearray()  # and not taken
        self._place = 0
        self._last = b""
        self.headers: int | None = _MAX_HEADERS
        """How much tarfile may still read; None for the content of a file."""

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        most = _BLOCK if self.headers is None else self.headers
        if size is None or not 0 <= size <= most:
            raise RefusalError(400, f"the headers of an entry are longer than {_MAX_HEADERS} bytes")
        data = self._take(size)
        if self.headers is not None:
            self.headers -= size
            if _MANY_DIGITS.search(data):
                raise RefusalError(400, "a header of an entry holds a number of 300 digits")
        return data

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        if place < self._place or whence != os.SEEK_SET:
            raise RefusalError(400, "the size of an entry is below 0")
        while self._place < place:
            if not self._take(min(place - self._place, _BLOCK)):
                raise RefusalError(400, "the archive ends inside an entry")
        return place

    def end(self) -> None:
        """Check that tarfile found the end of the archive; read on, for the checksum of gzip."""
        if self._last.strip(b"\0"):
            raise RefusalError(400, "the payload is no valid archive: an entry has a broken header")
        while self._take(_BLOCK):
            pass

    def _take(self, size: int) -> bytes:
        while len(self._read) < size and (block := next(self._blocks, None)) is not None:
            self._read += block
        data = self._last = bytes(self._read[:size])
        del self._read[:size]
        self._place += len(data)
        if self._place > self._most:
            raise RefusalError(413, f"the archive unpacks to more than {self._most} bytes")
        return data


def _extract(tar: tarfile.TarFile, source: _Source, into: Path, bounds: Bounds) -> _Links:
    """Unpack files and directories; return the symbolic links, which no file is written through."""
    links: _Links = {}
    directories: set[PurePosixPath] = set()
    number = 0
    while (entry := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined]  # else it keeps every entry in memory
        number += 1
        path = _path_of(entry.name, bounds)
        directories.update(path.parents)
        if number + len(directories) > bounds.entries:
            raise RefusalError(413, f"the archive has more than {bounds.entries} entries")
        if len(tar.pax_headers) > _MAX_GLOBAL:
            raise RefusalError(400, f"the archive has more than {_MAX_GLOBAL} global records")
        if (
            entry.size < 0
            or entry.issparse()
            or not (entry.isreg() or entry.isdir() or entry.issym())
        ):
            raise RefusalError(400, f"entry {entry.name[:60]!r} is no file, directory or link")
        if entry.issym():
            links[path] = entry.linkname
            continue
        source.headers = None
        entry.name = str(path)
        tar.extract(entry, into, filter="data", numeric_owner=True)
        source.headers = _MAX_HEADERS
    return links


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


def _linked(links: _Links, into: Path, bounds: Bounds) -> Path:
    """Make the symbolic links; return the root of the component."""
    tops = {it.name for it in into.iterdir()} | {path.parts[0] for path in links if path.parts}
    is_nested = len(tops) == 1 and PurePosixPath(*tops) not in links and (into / min(tops)).is_dir()
    root = PurePosixPath(*tops) if is_nested else PurePosixPath()
    for path, target in links.items():
        if problem := _problem_of(path, target, root, links, bounds):
            raise RefusalError(400, f"the symbolic link {str(path)[:60]!r} {problem}")
        place = into / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    return into / root


def _problem_of(
    path: PurePosixPath, target: str, root: PurePosixPath, links: _Links, bounds: Bounds
) -> str:
    """Pure: a link stays below the root, and meets no other link on its way, which may lead out."""
    if target.startswith("/") or not 0 < len(os.fsencode(target)) <= bounds.path_bytes:
        return "leaves the component"
    if any(parent in links for parent in path.parents):
        return "lies behind another"
    where = list(path.parent.parts)
    steps = [it for it in target.split("/") if it not in {"", "."}]
    for place, step in enumerate(steps):
        if step == ".." and len(where) == len(root.parts):
            return "leaves the component"
        where = where[:-1] if step == ".." else [*where, step]
        if place < len(steps) - 1 and PurePosixPath(*where) in links:
            return "leads through another"
    return ""
