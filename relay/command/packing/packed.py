"""The result of packing a directory, which also those hold that pack none."""

from collections.abc import Callable
from dataclasses import dataclass, field

OnProgress = Callable[[int, int], object]
"""Gets the bytes of files that are packed, and of all of them."""


@dataclass
class Packed:
    """The result of packing a directory."""

    files: int = 0
    skipped: dict[str, str] = field(default_factory=dict)  # reasons by path below the root
    notes: dict[str, str] = field(default_factory=dict)  # what a packed link leads to, by path
    sensitive: list[str] = field(default_factory=list)  # what may hold secrets
    unused: list[str] = field(default_factory=list)  # exclude patterns that match nothing
    sha256: str = field(default="", compare=False)  # of the archive
