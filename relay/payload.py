"""The staged payload: measured once, read again in blocks by every attempt (SEQ-05, SEQ-09)."""

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy_relay_kit.relay.errors import NO_DESCRIPTOR, NO_DESCRIPTORS, OriginError

BLOCK_BYTES = 7 * 16_384 - len(b"1bff7\r\n\r\n")
"""Bytes of the file that are read and sent at a time.

With its chunk framing (WIRE-13) a block fills exactly seven TLS records. From 128 KiB on, the C
library would map new memory for every block.
"""


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
        path.open("rb").close()
    return StagedPayload(path, status.st_size, _state(status))


@contextlib.contextmanager
def opened(payload: StagedPayload) -> Iterator[Iterator[bytes]]:
    """Open the file for one attempt, yield its blocks, and close it on every path (EARLY-11).

    If its size or content changes, the blocks end with an OriginError (RES-11, BUG-14).
    """
    with _failing("not readable"):
        file = payload.path.open("rb", buffering=0)
    with file:
        yield _blocks(file, payload)


def _blocks(file: io.FileIO, payload: StagedPayload) -> Iterator[bytes]:
    # In the thread of the event loop: passing each block between threads cost more processor time
    # than reading, encrypting and sending it.
    left = payload.size
    with _failing("not readable"):
        _check_unchanged(file, payload)
        while left:
            block = file.read(min(left, BLOCK_BYTES))
            if not block:
                raise OriginError("payload", "staged payload ended early")
            left -= len(block)
            yield block
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
        if isinstance(error, OSError) and error.errno in NO_DESCRIPTORS:
            text = NO_DESCRIPTOR
        elif isinstance(error, OSError) and error.filename:
            text = f"{error.strerror}: {error.filename}"
        raise OriginError("payload", f"staged payload {how}: {text}") from error
