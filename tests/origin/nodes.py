"""Real nodes for tests: processes of `relay serve` under one authority, each with its directory."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy_relay_kit.relay.origin.access.users import hashed

PASSWORD = "a passphrase of the cluster"
BOUNDARY = "an-odd-boundary"
FILES = {"config.yaml": b"static: true\n", "web/index.html": b"<p>hello", "blob": bytes(300_000)}
RELAY = str(Path(sys.executable).with_name("relay"))


@dataclass
class RealNode:
    """One `relay serve`."""

    name: str
    home: Path
    process: subprocess.Popen[str]
    url: str
    context: ssl.SSLContext
    replication_url: str | None = None

    def connect(self) -> http.client.HTTPSConnection:
        host = urlsplit(self.url).netloc
        return http.client.HTTPSConnection(host, timeout=60, context=self.context)

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
        root = self.home / "data" / "live" / project
        files = (it for it in root.rglob("*") if it.is_file())
        return {str(it.relative_to(root)): it.read_bytes() for it in files}

    def staged(self) -> list[Path]:
        return list((self.home / "data" / "staging").iterdir())

    def close(self) -> None:
        """Make sure that the process has ended."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

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

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


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


@dataclass
class RealCluster:
    """Nodes that share an authority, a key for tokens, and a file of nodes."""

    home: Path
    nodes: list[RealNode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.home / "ca.pem"))
        key = rsa.generate_private_key(65_537, 2_048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.home / "token.pem").write_bytes(pem)
        (self.home / "password").write_text(f"{PASSWORD}\n")
        (self.home / "nodes.toml").write_text("")
        self._hash = hashed(PASSWORD)

    def start(self, name: str, extra: str = "", program: Sequence[str] = (RELAY,)) -> RealNode:
        """Start a node, or start it again with its directory, in its place and at a new port."""
        home = self.home / name
        home.mkdir(exist_ok=True)
        leaf = self._authority.issue_cert("127.0.0.1", name)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(home / "leaf.pem"))
        (home / "node.toml").write_text(f"""
name = "{name}"
directory = "data"
port = 0
certificate_file = "leaf.pem"
key_file = "leaf.pem"
token_key_file = "../token.pem"
{extra}
[cluster]
nodes_file = "../nodes.toml"
ca_file = "../ca.pem"
username = "admin"
password_file = "../password"
[users]
admin = {{ hash = "{self._hash}" }}
guest = {{ hash = "{self._hash}", super_user = false }}
""")
        command = [*program, "serve", "--config", str(home / "node.toml")]
        with (home / "stderr").open("ab") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{name} did not start: {(home / 'stderr').read_text()}"
        context = ssl.create_default_context(cafile=str(self.home / "ca.pem"))
        said = json.loads(line)
        node = RealNode(name, home, process, said["url"], context, said.get("replication_url"))
        for place, old in enumerate(self.nodes):
            if old.name == name:
                old.close()
                self.nodes[place] = node
                break
        else:
            self.nodes.append(node)
        return node

    def issue(self, *names: str) -> trustme.LeafCert:
        """A certificate of the cluster's authority."""
        return self._authority.issue_cert(*names)

    def publish(self) -> None:
        """Write the file of nodes, which each node reads anew for each deploy."""
        rows = [f'[[node]]\nname = "{it.name}"\nurl = "{it.url}"\n' for it in self.nodes]
        sockets = [it.replication_url for it in self.nodes]
        rows = [
            row + (f'replication_url = "{at}"\n' if at else "")
            for row, at in zip(rows, sockets, strict=True)
        ]
        (self.home / "nodes.toml").write_text("".join(rows))


@contextmanager
def real_cluster(home: Path, count: int = 0) -> Iterator[RealCluster]:
    cluster = RealCluster(home)
    try:
        for number in range(1, count + 1):
            cluster.start(f"n{number}")
        cluster.publish()
        yield cluster
    finally:
        for node in cluster.nodes:
            node.close()
        shutil.rmtree(home, ignore_errors=True)
