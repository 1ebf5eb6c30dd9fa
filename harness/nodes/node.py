"""One real node: a process of `relay serve`."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import select
import signal
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
_SHOWN = 20_000  # characters of standard error


@dataclass(repr=False)
class RealNode:
    """One `relay serve`, which `RealCluster.start` starts.

    Attributes:
        name: its name in the file of nodes.
        home: its directory, with `node.toml`, `stderr` and `data`.
        username, password: a super user of every node of the cluster.
        context: a TLS context for clients, which trusts the authority of the cluster.
        url: its operations API.
        replication_url: its replication socket; None without a `replication_port`.
        process: the process.
    """

    name: str
    home: Path
    username: str
    password: str = field(repr=False)
    context: ssl.SSLContext
    process: subprocess.Popen[bytes]
    url: str = ""
    replication_url: str | None = None
    _is_asked: bool = False

    def connect(self) -> http.client.HTTPSConnection:
        """A connection to its operations API, for requests of your own."""
        where = urlsplit(self.url).netloc
        return http.client.HTTPSConnection(where, timeout=_ANSWER_SECONDS, context=self.context)

    @property
    def authorization(self) -> str:
        """The header `Authorization` with its login."""
        login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return f"Basic {login}"

    def ask(self, operation: Mapping[str, object]) -> tuple[int, Any]:
        """Run an operation, such as `{"operation": "list_deployments"}`: the status and the answer.

        Raises:
            OSError: the node does not run, or is silent.
        """
        headers = {"Content-Type": "application/json", "Authorization": self.authorization}
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", "/", json.dumps(dict(operation)), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def build(self, project: str) -> Path:
        """The directory of the live build of a project; it is missing before the first deploy."""
        return self.home / "data" / "live" / project

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def stderr(self) -> str:
        """The end of what the node wrote to standard error; also of earlier ones in its place."""
        try:
            return (self.home / "stderr").read_text("utf-8", "replace")[-_SHOWN:]
        except FileNotFoundError:  # its directory was removed
            return ""

    def stop(self, seconds: float = 30.0) -> int:
        """End it as an operator does, with SIGTERM, and after so many seconds with SIGKILL.

        Returns:
            its exit code; -9 if it had to be killed.
        """
        self.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._close()
        return self.process.returncode

    def terminate(self) -> None:
        """Ask it to end, once: at a second SIGTERM it ends at once."""
        if not self._is_asked:
            self._is_asked = True
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        self.process.kill()
        self._close()

    def _close(self) -> None:
        self.process.wait()
        if self.process.stdout is not None:  # of a node whose line nobody read
            self.process.stdout.close()

    def wait_for_start(self) -> None:
        """Wait for its line. RuntimeError: it ended, or wrote none; with its standard error."""
        assert self.process.stdout is not None
        end, line = time.monotonic() + START_SECONDS, b""
        with self.process.stdout as output:
            while not line.endswith(b"\n"):
                left = max(0.0, end - time.monotonic())
                ready, _, _ = select.select([output], [], [], left)
                block = os.read(output.fileno(), 65_536) if ready else b""
                if not block:
                    self.kill()
                    raise RuntimeError(f"node {self.name!r} did not start: {self.stderr.strip()}")
                line += block
        said = json.loads(line)
        self.url, self.replication_url = said["url"], said.get("replication_url")

    def __repr__(self) -> str:
        state = "" if self.is_running else f", ended with {self.process.returncode}"
        return f"<{type(self).__name__} {self.name} {self.url} in {self.home}{state}>"


def launch(command: Sequence[str], home: Path) -> subprocess.Popen[bytes]:
    """Start a node with the configuration in its directory."""
    arguments = [*command, "serve", "--config", str(home / "node.toml")]
    with (home / "stderr").open("ab") as log:
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 - of a test
