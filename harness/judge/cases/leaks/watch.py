"""Files that are written while a block runs, also those that are removed again soon (BUG-41)."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from deploy_relay_kit.harness.judge.cases.leaks.search import OF_OTHERS, files_below
from deploy_relay_kit.harness.targets.processes import repeated

_LARGEST = 1_000_000  # bytes of a file that are kept
_MOST = 200  # files that are looked at in one turn, and contents that are kept


@dataclass
class Written:
    """What new files held at each look that found them changed."""

    contents: list[bytes] = field(default_factory=list)
    _states: dict[Path, tuple[int, int]] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return b"\n".join(self.contents)

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    def look_at(self, files: Iterator[Path]) -> None:
        for file in islice(files, _MOST):
            with contextlib.suppress(OSError):  # not readable, or removed
                status = file.stat()
                state = status.st_mtime_ns, status.st_size
                is_new = self._states.get(file) != state and len(self.contents) < _MOST
                if is_new and stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                    self.contents.append(file.read_bytes())
                    self._states[file] = state


@contextlib.contextmanager
def watch_files(*more: Path, every: float = 0.002) -> Iterator[Written]:
    """Gather what new files hold in the directories where programs leave files for a moment.

    Args:
        more: directories to watch, too, such as that of the payload.
        every: seconds between two looks; a file of a few milliseconds is rarely missed.

    """
    written = Written()
    before = {place: _names(place) for place in {*_places(), *more}}

    def look() -> None:
        for place, names in before.items():
            written.look_at(files_below(place / name for name in _names(place) - names))

    with repeated(look, every):
        yield written


def _places() -> set[Path]:
    """The temporary directories, the home, its caches and settings, and the working directory."""
    home = Path("~").expanduser()
    of_home = (home / it for it in (".", ".cache", ".config", ".local/share", ".local/state"))
    of_all = (Path(it) for it in (tempfile.gettempdir(), "/var/tmp", "/dev/shm", "."))  # noqa: S108 - where others write
    return {place.resolve() for place in (*of_home, *of_all) if place.is_dir()}


def _names(place: Path) -> set[str]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(OF_OTHERS)}
    return set()
