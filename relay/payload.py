"""The staged payload: measured once, read again in blocks by every attempt (SEQ-05, SEQ-09)."""

import contextlib
import functools
import io
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy_relay_kit.relay.errors import EXHAUSTED, ExhaustedError, OriginError
from deploy_relay_kit.relay.files import open_at_once

BLOCK_BYTES = 63 * 16_384 - len(b"fbff7\r\n\r\n")
"""Bytes of the file that are read and sent at a time, as long as the peer takes them quickly.

With its chunk framing (WIRE-13) a block fills exactly 63 records.
"""
_SMALL_BLOCK_BYTES = 16_384 - len(b"3ff8\r\n\r\n")
"""For a slow peer, so that it is seen to take something (the limit `stall`)."""
_QUICK_SECONDS = 0.25


@dataclass(frozen=True)
class StagedPayload:
    """A staged file as it was measured; every peer must get the same bytes (BUG-31)."""

    path: Path
    size: int
    state: tuple[int, ...]
    """Device, inode, times of modification and change, and size."""


def measure(path: Path) -> StagedPayload:
    """Check the staged file, before anything is sent.

    Raises:
        OriginError: It is missing, empty, not a file or not readable.
    """
    with _failing("missing"):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise OriginError("payload", f"staged payload is {kind}: {path}")
    if status.st_size == 0:
        raise OriginError("payload", f"staged payload is empty: {path}")
    with _failing("not readable"):
        open_at_once(path).close()
    return StagedPayload(path, status.st_size, _state(status))


class Block:
    """Bytes of the file, in memory with room for the framing of a chunk around them."""

    def __init__(self, most: int) -> None:
        """`most`: its bytes, of the file."""
        self._begin = len(b"%x\r\n" % most)
        self._view = memoryview(bytearray(self._begin + most + len(b"\r\n")))
        self._count = 0

    def read(self, file: io.FileIO, most: int) -> int:
        """Read so many bytes of the file at most, in place of those before; returns how many."""
        self._count = file.readinto(self._view[self._begin : self._begin + most]) or 0
        return self._count

    def __len__(self) -> int:
        return self._count

    def __bytes__(self) -> bytes:
        return bytes(self._view[self._begin : self._begin + self._count])

    def chunk(self) -> memoryview:
        """The bytes as one chunk (WIRE-13), which is one call of OpenSSL for all its records."""
        head, end = b"%x\r\n" % self._count, self._begin + self._count
        self._view[self._begin - len(head) : self._begin] = head
        self._view[end : end + 2] = b"\r\n"
        return self._view[self._begin - len(head) : end + 2]


@functools.cache
def _keep_freed_memory() -> None:
    """Have the C library of Linux use the memory of one block again for the next.

    By default it maps new memory for every block of more than 128 KiB, which costs as much as
    encrypting it. Freeing one large block raises that size.
    """
    bytes(8 << 20)


@contextlib.contextmanager
def opened(payload: StagedPayload, most: int = BLOCK_BYTES) -> Iterator[Iterator[Block]]:
    """Open the file for one attempt, yield its blocks, and close it on every path (EARLY-11).

    A block has at most so many bytes, and is overwritten by the next.

    If its size or content changes, the blocks end with an OriginError (RES-11, BUG-14).
    """
    _keep_freed_memory()
    with _failing("not readable"):
        file = open_at_once(payload.path)
    with file:
        yield _blocks(file, payload, most)


def _blocks(file: io.FileIO, payload: StagedPayload, most: int) -> Iterator[Block]:
    # In the thread of the event loop: passing each block between threads cost more processor time
    # than reading, encrypting and sending it.
    left, size = payload.size, _SMALL_BLOCK_BYTES
    block = Block(min(left, most))
    with _failing("not readable"):
        _check_unchanged(file, payload)
        while left:
            count = block.read(file, min(left, size, most))
            if not count:
                raise OriginError("payload", "staged payload ended early")
            left -= count
            given = time.monotonic()
            yield block
            is_quick = time.monotonic() - given < _QUICK_SECONDS
            size = BLOCK_BYTES if is_quick else _SMALL_BLOCK_BYTES
        _check_unchanged(file, payload)


def _check_unchanged(file: io.FileIO, payload: StagedPayload) -> None:
    if _state(os.fstat(file.fileno())) != payload.state:
        raise OriginError("payload", f"staged payload changed during the deploy: {payload.path}")


def _state(status: os.stat_result) -> tuple[int, ...]:
    # Its owner can set back the time of modification, but not that of the last change.
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


@contextlib.contextmanager
def _failing(how: str) -> Iterator[None]:
    """Raise an OriginError in place of an error of the system."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        text = str(error)
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            raise ExhaustedError.of("payload", error.errno) from error
        if isinstance(error, OSError) and error.filename:
            text = f"{error.strerror}: {error.filename}"
        raise OriginError("payload", f"staged payload {how}: {text}") from error
