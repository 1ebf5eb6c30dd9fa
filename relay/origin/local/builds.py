"""The builds of all projects in the node's directory, and the swap from one to the next.

    builds/PROJECT/ID/      a build, unpacked
    live/PROJECT            symbolic link to the build in use, replaced by one rename
    previous/PROJECT        symbolic link to the build before it
    staging/ID/             one deploy that is under way; private, removed when it ends

A process that is killed at any moment leaves the old build live or the new one, whole.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path

from deploy_relay_kit.relay.errors import InputError
from deploy_relay_kit.relay.origin.config import Bounds
from deploy_relay_kit.relay.origin.local.archive import unpack


class Builds:
    """The directory of one node. One process uses it at a time."""

    def __init__(self, directory: Path, bounds: Bounds, *, unpack: bool = True) -> None:
        """Make and lock the directory, and sweep what a killed process left; raises InputError."""
        self._directory, self._bounds, self._unpack = directory, bounds, unpack
        try:
            for name in ("builds", "live", "previous", "staging"):
                (directory / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (directory / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another node uses the directory {directory}") from None
        except OSError as error:
            why = error.strerror or error
            remedy = "give one that this user can write to"
            raise InputError(f"cannot use directory {str(directory)!r}: {why}; {remedy}") from None
        for left in (directory / "staging").iterdir():
            _remove(left)
        for project in (directory / "builds").iterdir():
            if project.is_dir():  # an operator, or a file manager, may leave files
                self._prune(project.name)

    def projects(self) -> list[str]:
        """The projects with a live build."""
        return sorted(it.name for it in (self._directory / "live").iterdir() if it.is_symlink())

    def live(self, project: str) -> Path:
        return self._directory / "live" / project

    def stage(self) -> Path:
        """A new private directory for one deploy."""
        path = self._directory / "staging" / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        return path

    def prepare(self, payload: Path, stage: Path) -> Path:
        """Unpack a payload in its stage, or put it in a directory; return the component's root."""
        build = stage / "build"
        build.mkdir(mode=0o755)
        if not self._unpack:
            (build / payload.name).hardlink_to(payload)
            return build
        return unpack(payload, build, self._bounds)

    def live_id(self, project: str) -> str | None:
        return self._id_at("live", project)

    def previous_id(self, project: str) -> str | None:
        """The id of the build that a rollback would bring back."""
        previous = self._id_at("previous", project)
        return None if previous == self.live_id(project) else previous

    def _id_at(self, kind: str, project: str) -> str | None:
        link = self._directory / kind / project
        return link.readlink().name if link.exists() else None

    def swap(self, project: str, build: Path, build_id: str) -> None:
        """Make an unpacked build the live one."""
        place = self._directory / "builds" / project / build_id
        place.parent.mkdir(exist_ok=True)
        live = self.live(project)
        targets = {"previous": live.readlink()} if live.is_symlink() else {}
        targets["live"] = Path("..") / place.relative_to(self._directory)
        try:
            build.rename(place)
            self._link(project, targets)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._prune(project)

    def rollback(self, project: str) -> None:
        """Make the previous build the live one, and the live one the previous."""
        live, previous = (self._directory / kind / project for kind in ("live", "previous"))
        self._link(project, {"live": previous.readlink(), "previous": live.readlink()})

    def _link(self, project: str, targets: dict[str, Path]) -> None:
        """Replace each link by one rename; a disk without room for all links changes none."""
        made = self.stage()
        try:
            for kind, target in targets.items():
                (made / kind).symlink_to(target)
            for kind in targets:
                (made / kind).replace(self._directory / kind / project)
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def _prune(self, project: str) -> None:
        """Remove the builds that no link names."""
        kept = {os.path.realpath(self._directory / kind / project) for kind in ("live", "previous")}
        for build in (self._directory / "builds" / project).iterdir():
            if os.path.realpath(build) not in kept:
                _remove(build)


def _remove(path: Path) -> None:
    """Remove a directory or anything else, as far as the system allows it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
