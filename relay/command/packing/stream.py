"""A gzip stream that can go back to a mark, so that a file which changed is packed once more."""

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

# Without name and time, and of an unknown system (RFC 1952 §2.3): the same on every machine.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LEVEL = 6


@dataclass(frozen=True)
class Mark:
    """A state of a stream: copies of zlib's window and of the hash, and where the file ends."""

    deflate: Any
    sha256: Any
    crc: int
    size: int
    position: int


class GzipStream:
    """Compresses what is written to `archive`, a file that can seek and truncate.

    `size` counts the bytes before compression; `sha256` is the digest of those after it.
    """

    def __init__(self, archive: BinaryIO) -> None:
        self._archive = archive
        self._deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.sha256 = hashlib.sha256()
        self._crc = zlib.crc32(b"")
        self.size = 0
        self._append(_HEADER)

    def write(self, block: bytes) -> None:
        self._crc = zlib.crc32(block, self._crc)
        self.size += len(block)
        self._append(self._deflate.compress(block))

    def close(self) -> None:
        """Write the end of the stream; the file stays open."""
        self._append(self._deflate.flush())
        self._append(struct.pack("<LL", self._crc, self.size & 0xFFFFFFFF))

    def mark(self) -> Mark:
        position = self._archive.tell()
        return Mark(self._deflate.copy(), self.sha256.copy(), self._crc, self.size, position)

    def back_to(self, mark: Mark) -> None:
        """Forget what was written since the mark, which can be used again."""
        self._deflate, self.sha256 = mark.deflate.copy(), mark.sha256.copy()
        self._crc, self.size = mark.crc, mark.size
        self._archive.seek(mark.position)
        self._archive.truncate()

    def _append(self, compressed: bytes) -> None:
        self.sha256.update(compressed)
        self._archive.write(compressed)
