"""Real nodes for the tests of the origin: `RealCluster` of the kit, with requests and forms."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from deploy_relay_kit import harness
from deploy_relay_kit.harness.nodes.cluster import RELAY as PROGRAM

PASSWORD = "a passphrase of the cluster"
BOUNDARY = "an-odd-boundary"
FILES = {"config.yaml": b"static: true\n", "web/index.html": b"<p>hello", "blob": bytes(300_000)}
RELAY = str(Path(sys.executable).with_name("relay"))


class RealNode(harness.RealNode):
    """One `relay serve`, and what these tests ask of it."""

    def ask(
        self, body: object, headers: dict[str, str] | None = None, *, user: str = "admin"
    ) -> tuple[int, Any]:
        """Send an operation as JSON, or a body as it is."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **basic(user), **(headers or {})}
        connection = self.connect()
        try:
            connection.request("POST", "/", sent, {k: v for k, v in given.items() if v})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def deploy(self, payload: bytes, **fields: object) -> tuple[int, Any]:
        texts = {"operation": "deploy_component", "project": "demo", "replicated": False, **fields}
        return self.ask(form(texts, payload), FORM)

    def events(self, payload: bytes, **fields: object) -> list[tuple[str, Any]]:
        """Deploy and read the answer as events."""
        texts = {"operation": "deploy_component", "project": "demo", "replicated": False, **fields}
        headers = {**FORM, **basic("admin"), "Accept": "text/event-stream"}
        connection = self.connect()
        try:
            connection.request("POST", "/", form(texts, payload), headers)
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Content-Type")) == (200, "text/event-stream")
            return events_in(answer.read())
        finally:
            connection.close()

    def live(self, project: str = "demo") -> dict[str, bytes]:
        """Every file of the live build."""
        root = self.build(project)
        files = (it for it in root.rglob("*") if it.is_file())
        return {str(it.relative_to(root)): it.read_bytes() for it in files}

    def staged(self) -> list[Path]:
        return list((self.home / "data" / "staging").iterdir())

    def row(self, deployment_id: object, **more: object) -> Any:
        """The record of a deploy."""
        asked = {"operation": "get_deployment", "deployment_id": deployment_id, **more}
        status, row = self.ask(asked)
        assert status == 200, row
        return row

    def rows(self, **filters: object) -> Any:
        """The records of deploys, newest first."""
        status, answer = self.ask({"operation": "list_deployments", **filters})
        assert status == 200, answer
        return answer["deployments"]


def events_in(stream: bytes) -> list[tuple[str, Any]]:
    """The names and data of events."""
    prime, *events, rest = stream.decode().split("\n\n")
    assert (prime, rest) == (": stream open", "")
    found = []
    for event in events:
        name, data = event.split("\n")
        assert (name[:7], data[:6]) == ("event: ", "data: ")
        found.append((name[7:], json.loads(data[6:])))
    return found


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def form(fields: Mapping[str, object], payload: bytes | None, name: str = "payload") -> bytes:
    """A form; a value that is no text is sent as JSON."""
    out = b""
    for key, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value)
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'.encode()
        out += text.encode() + b"\r\n"
    if payload is not None:
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; '.encode()
        out += b'filename="p.tar.gz"\r\nContent-Type: application/gzip\r\n\r\n' + payload + b"\r\n"
    return out + f"--{BOUNDARY}--\r\n".encode()


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


def raw(node: RealNode, sent: bytes, length: int, accept: str = "*/*") -> ssl.SSLSocket:
    """A connection with the head of a deploy, and the beginning of its body."""
    where = urlsplit(node.url)
    plain = socket.create_connection((where.hostname, where.port), 30)
    connection = node.context.wrap_socket(plain, server_hostname=where.hostname)
    lines = {"Host": where.netloc, "Content-Length": str(length), "Accept": accept}
    head = "".join(
        f"{name}: {value}\r\n" for name, value in {**lines, **FORM, **basic("admin")}.items()
    )
    connection.sendall(f"POST / HTTP/1.1\r\n{head}\r\n".encode() + sent)
    return connection


class RealCluster(harness.RealCluster):
    """A cluster whose user has the password of these tests."""

    node_type = RealNode

    def __init__(self, home: Path) -> None:
        super().__init__(directory=home, password=PASSWORD)

    @property
    def nodes(self) -> list[RealNode]:
        return cast("list[RealNode]", self._nodes)

    def start(
        self, name: str | None = None, settings: str = "", *, program: Sequence[str] = PROGRAM
    ) -> RealNode:
        return cast("RealNode", super().start(name, settings, program=program))

    def issue(self, name: str) -> Path:
        """A file with a certificate of the cluster's authority, and its key."""
        path = self.home / f"{name}.pem"
        path.write_bytes(b"".join(self.authority.leaf(name)))
        return path


@contextmanager
def real_cluster(home: Path, count: int = 0) -> Iterator[RealCluster]:
    """A cluster whose nodes are killed at the end, and its directory removed."""
    cluster = RealCluster(home)
    try:
        for number in range(1, count + 1):
            cluster.start(f"n{number}")
        yield cluster
    finally:
        for node in cluster.nodes:
            node.kill()
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)
