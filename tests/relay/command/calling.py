"""Shared helpers: calls of `relay deploy`, in process and as a program."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer

PASSWORD = "pass-word-of-all"


def peer_of(cluster: FakeCluster, name: str | None = None, **how: Any) -> FakePeer:
    return cluster.peer(name, username="admin", password=PASSWORD, **how)


def options(cluster: FakeCluster, files: Path) -> list[str]:
    nodes = [f"--node={peer.name}={peer.url}" for peer in cluster.peers]
    who = ["--user=admin", f"--password-file={files / 'password'}", f"--ca={cluster.ca_file}"]
    return nodes + who


def run(cluster: FakeCluster, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(cluster, path, *arguments),
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, "RELAY_USER": "admin", "RELAY_PASSWORD": PASSWORD},
    )


def command(cluster: FakeCluster, path: Path, *arguments: str) -> list[str]:
    nodes = [f"--node={peer.name}={peer.url}" for peer in cluster.peers]
    program = [sys.executable, "-m", "deploy_relay_kit.relay", "deploy", str(path)]
    return [*program, *nodes, f"--ca={cluster.ca_file}", *arguments]


# Makes the terminal of its standard streams the controlling terminal, where getpass asks.
_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


_HOME = "\x1b[H"  # where the drawing of a screen begins
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A program in a terminal; `shown` is its output so far."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        size: tuple[int, int] | None = None,
    ) -> None:
        self._ours, theirs = os.openpty()
        if size is not None:
            environment = {**environment, "COLUMNS": "", "LINES": ""}
            self.resize(*size)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"TERM": "xterm", "COLUMNS": "120", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, mark: str) -> None:
        """Read until this text appears."""
        while mark not in self.shown:
            self.shown += os.read(self._ours, 65_536).decode()

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal; the program gets SIGWINCH."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def frame(self) -> list[str]:
        """Read until the screen is drawn once more, and return its rows without styles."""
        drawn = self.shown.count(_HOME) + 2
        while self.shown.count(_HOME) < drawn:
            self.shown += os.read(self._ours, 65_536).decode()
        return [row.rstrip() for row in _STYLE.sub("", self.shown.split(_HOME)[-2]).split("\r\n")]

    def write(self, typed: bytes) -> None:
        os.write(self._ours, typed)

    def end(self) -> int:
        """Read to the end and return the exit code."""
        with contextlib.suppress(OSError):  # how a terminal ends
            while block := os.read(self._ours, 65_536):
                self.shown += block.decode()
        os.close(self._ours)
        return self.process.wait()
