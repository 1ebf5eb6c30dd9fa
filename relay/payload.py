"""The staged payload: measured once, read afresh in blocks by every attempt (SEQ-05, SEQ-09)."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.errors import NO_DESCRIPTOR, NO_DESCRIPTORS, OriginError

BLOCK_BYTES = 7 * 16_384 - len(b"1bff7\r\n\r\n")
"""How much of the file one attempt reads, and writes, at a time.

With its chunk framing (WIRE-13) it fills seven TLS records to the byte, and it stays below the 128
KiB from which the C library maps memory anew for every buffer.
"""


@dataclass(frozen=True)
class StagedPayload:
    """A staged file as the deploy found it; every peer must get these very bytes (BUG-31)."""

    path: Path
    size: int
    state: tuple[int, ...]
    """Device, inode, modification time and size."""


def measure(path: Path) -> StagedPayload:
    """Look at the staged file before anything is sent.

    Raises:
        OriginError: It is missing, empty, not a file or not readable.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise OriginError("payload", f"staged payload missing: {_text(error)}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise OriginError("payload", f"staged payload is {kind}: {path}")
    if status.st_size == 0:
        raise OriginError("payload", f"staged payload is empty: {path}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise OriginError("payload", f"staged payload not readable: {_text(error)}") from error
    return StagedPayload(path, status.st_size, _state(status))


@contextlib.contextmanager
def opened(payload: StagedPayload) -> Iterator[Iterator[bytes]]:
    """Open the file for one attempt, give its blocks, and close it on every path (EARLY-11).

    The whole file comes, or an OriginError: it never ends early or late in silence (RES-11,
    BUG-14).
    """
    try:
        file = payload.path.open("rb", buffering=0)
    except OSError as error:
        raise OriginError("payload", f"staged payload not readable: {_text(error)}") from error
    with file:
        yield _blocks(file, payload)


def _blocks(file: io.FileIO, payload: StagedPayload) -> Iterator[bytes]:
    # On the event loop's own thread: handing each block over from another one cost more processor
    # time than reading, encrypting and sending it.
    left = payload.size
    _check_unchanged(file, payload)
    while left:
        try:
            block = file.read(min(left, BLOCK_BYTES))
        except OSError as error:
            raise OriginError("payload", f"staged payload not readable: {_text(error)}") from error
        if not block:
            raise OriginError("payload", "staged payload ended early")
        left -= len(block)
        yield block
    _check_unchanged(file, payload)


def _check_unchanged(file: io.FileIO, payload: StagedPayload) -> None:
    if _state(os.fstat(file.fileno())) != payload.state:
        raise OriginError("payload", f"staged payload changed during the deploy: {payload.path}")


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _text(error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):  # a NUL in the path
        return str(error)
    if error.errno in NO_DESCRIPTORS:
        return NO_DESCRIPTOR
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
