"""The staged payload: measured once, read afresh in blocks by every attempt (SEQ-05, SEQ-09)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay.errors import OriginError

if TYPE_CHECKING:
    import io
    from collections.abc import AsyncIterator
    from pathlib import Path

WRITE_BYTES = (1 << 16) - len(b"fff8\r\n\r\n")
"""Size of one write: with its chunk framing (WIRE-13) it fills four TLS records to the byte."""
BLOCK_BYTES = 16 * WRITE_BYTES
"""How much of the file one attempt holds in memory."""


@dataclass(frozen=True)
class StagedPayload:
    """A staged file as the deploy found it; every peer must get these very bytes (BUG-31)."""

    path: Path
    size: int
    changed_ns: int


def measure(path: Path) -> StagedPayload:
    """Look at the staged file before anything is sent.

    Raises:
        OriginError: It is missing, empty, not a file or not readable.
    """
    try:
        status = path.stat()
    except OSError as error:
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
    return StagedPayload(path, status.st_size, status.st_mtime_ns)


@contextlib.asynccontextmanager
async def opened(payload: StagedPayload) -> AsyncIterator[BlockReader]:
    """Open the file for one attempt and close it on every path (EARLY-11)."""
    loop = asyncio.get_running_loop()
    try:
        # On the loop's own thread: a cancelled hop to another thread could lose the open file.
        file = payload.path.open("rb", buffering=0)
    except OSError as error:
        raise OriginError("payload", f"staged payload not readable: {_text(error)}") from error
    reader = BlockReader(file, payload)
    try:
        yield reader
    finally:
        await loop.run_in_executor(None, reader.close)


class BlockReader:
    """Reads one open payload from byte 0, and fails when the file is not what was measured."""

    def __init__(self, file: io.FileIO, payload: StagedPayload) -> None:
        self._file = file
        self._payload = payload
        # A read may still run in its thread when its attempt is cancelled; the close waits for it.
        self._lock = threading.Lock()

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the whole file; never end early or late without an error (RES-11, BUG-14)."""
        loop = asyncio.get_running_loop()
        left = self._payload.size
        self._check_unchanged()
        while left:
            try:
                block = await loop.run_in_executor(None, self._read, min(left, BLOCK_BYTES))
            except OSError as error:
                raise OriginError(
                    "payload", f"staged payload not readable: {_text(error)}"
                ) from error
            if not block:
                break
            left -= len(block)
            yield block
        self._check_unchanged()
        if left:
            raise OriginError("payload", "staged payload ended early")

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _read(self, size: int) -> bytes:
        with self._lock:
            return self._file.read(size) or b""

    def _check_unchanged(self) -> None:
        status = os.fstat(self._file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self._payload.size, self._payload.changed_ns):
            raise OriginError(
                "payload", f"staged payload changed during the deploy: {self._payload.path}"
            )


def _text(error: OSError) -> str:
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
