"""What is packed of a directory: which files, under which names, through which links."""

import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from os import stat_result
from pathlib import Path

from deploy_relay_kit.relay.command.packing.ignored import ignored_by
from deploy_relay_kit.relay.errors import InputError

_MOST_REPEATED = 20_000  # files and directories that are packed again through another link

Identity = tuple[int, int]


@dataclass(frozen=True)
class Entry:
    """A file or a directory to pack; its name is its path below the root."""

    path: Path
    name: str
    is_directory: bool
    size: int


class Tree:
    """Selects what to pack of a directory.

    Args:
        root: The directory. Its file `.deployignore`, if there is one, excludes in the syntax of
            a `.gitignore`.
        exclude: Shell patterns. A match with a name, or with a path below the root, is left out;
            the path of the root itself does not count (BUG-23).

    Raises:
        InputError: The `.deployignore` cannot be read or used.
    """

    def __init__(self, root: Path, exclude: Collection[str] = ()) -> None:
        self.root = root
        self.skipped: dict[str, str] = {}  # reasons by name
        self.notes: dict[str, str] = {}  # what a link leads to, by its name
        self._patterns = {glob: self._from_root(glob) for glob in exclude}
        self._used: set[str] = set()
        self._ignored = ignored_by(root)
        self._first_names: dict[Identity, str] = {}  # of directories
        self._repeated = 0

    @property
    def unused(self) -> list[str]:
        """Exclude patterns that matched nothing."""
        return [glob for glob in self._patterns if glob not in self._used]

    def entries(self) -> Iterator[Entry]:
        """Yield what to pack, parents first, sorted by name.

        A link to a directory above it is skipped, because following it would never end.

        Raises:
            InputError: Links multiply the tree.
            OSError: A directory cannot be read.
        """
        self._real_root = self.root.resolve()
        self._first_names[identity(self.root.stat())] = "."
        yield from self._walk(self.root, (), "")

    def _walk(self, directory: Path, above: tuple[Identity, ...], link: str) -> Iterator[Entry]:
        """Yield the content of a directory; `link` is the one that leads to it again, if any."""
        above = (*above, identity(directory.stat()))
        for path in sorted(directory.iterdir(), key=lambda path: path.name):
            name = path.relative_to(self.root).as_posix()
            status = self._selected(path, name, above)
            if status is None:
                continue
            is_directory = stat.S_ISDIR(status.st_mode)
            again = self._repeats(path, name, status) if is_directory else ""
            self._count(again or link)
            if path.is_symlink():
                self._note_target(path, name)
            yield Entry(path, name, is_directory, status.st_size)
            if is_directory:
                yield from self._walk(path, above, again or link)

    def _selected(self, path: Path, name: str, above: tuple[Identity, ...]) -> stat_result | None:
        """The status of what a path leads to; None if it is left out."""
        if self._is_excluded(path.name, name) or self._ignored.match_file(name):
            return None
        try:
            status = path.stat()
        except OSError as error:
            if not path.is_symlink():
                raise
            self.skipped[name] = f"dangling symbolic link: {error.strerror}"
            return None
        if stat.S_ISDIR(status.st_mode):
            if self._ignored.match_file(f"{name}/"):
                return None
            if identity(status) in above:
                self.skipped[name] = "symbolic link to a directory that holds it"
                return None
        elif not stat.S_ISREG(status.st_mode):
            self.skipped[name] = "neither a file nor a directory"
            return None
        return status

    def _repeats(self, path: Path, name: str, status: stat_result) -> str:
        """The name of the directory, if it was packed under another one before; else empty."""
        first = self._first_names.setdefault(identity(status), name)
        if first == name:
            return ""
        if path.is_symlink():
            self.notes[name] = f"packed again, because it links to the directory {first}"
        return name

    def _count(self, link: str) -> None:
        self._repeated += bool(link)
        if self._repeated > _MOST_REPEATED:
            raise InputError(
                f"symbolic links multiply the files: more than {_MOST_REPEATED:,} are packed again "
                f"through links like {link!r}; leave them out with --exclude, or give a .tar.gz"
            )

    def _note_target(self, path: Path, name: str) -> None:
        target = path.resolve()
        if not target.is_relative_to(self._real_root):
            self.notes[name] = f"links out of the directory, to {target}, which is packed"

    def _from_root(self, glob: str) -> str:
        """A pattern relative to the root, from one as people, shells and ignore files write it."""
        glob = glob.removeprefix("./").removeprefix(f"{self.root.as_posix()}/")
        return glob.removeprefix("**/").strip("/")

    def _is_excluded(self, *names: str) -> bool:
        matching = {
            glob
            for glob, pattern in self._patterns.items()
            if any(fnmatchcase(name, pattern) for name in names)
        }
        self._used |= matching
        return bool(matching)


def identity(status: stat_result) -> Identity:
    """A file's identity, which is the same for all its paths."""
    return status.st_dev, status.st_ino
