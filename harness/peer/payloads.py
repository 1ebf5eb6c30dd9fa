"""Payloads of any size: seeded, hashed while they are written, never in memory."""

import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy_relay_kit.harness.faults.checks import check_int, check_path

_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """A staged payload: its path, its length in bytes, and its SHA-256 in hex."""

    path: Path
    size: int
    sha256: str


def seeded_blocks(size: int, seed: int = 0) -> Iterator[bytes]:
    """The same pseudo-random bytes for the same seed, in blocks of up to 64 KiB."""
    source = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for start in range(0, size, _BLOCK):
        yield source.randbytes(min(_BLOCK, size - start))


def stage_payload(path: str | os.PathLike[str], size: int, seed: int = 0) -> Payload:
    """Write a seeded payload of `size` bytes to `path`."""
    check_path.validate("path", path)
    check_int(0).validate("size", size)
    check_int(0).validate("seed", seed)
    path = Path(path)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for block in seeded_blocks(size, seed):
            digest.update(block)
            file.write(block)
    return Payload(path, size, digest.hexdigest())
