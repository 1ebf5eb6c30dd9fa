"""What the tests of the profiles send, and how they read what comes."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.peer.peer import FakePeer
from tests.rawclient import RawClient, Reachable, post

FASTIFY = ["vary", "content-type", "server-timing", "content-length", "Date"]
FASTIFY_KEEP = [*FASTIFY, "Connection", "Keep-Alive"]
FASTIFY_CLOSE = ["vary", "connection", *FASTIFY[1:]]
FRAMEWORK_KEEP = ["vary", "content-type", "content-length", "server-timing", *FASTIFY_KEEP[4:]]
EARLY = ["Content-Length", "Server-Timing", "Date", "Connection", "Keep-Alive"]
JSON = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"
EVENTS = "text/event-stream"
DEPLOY = [("operation", "deploy_component"), ("project", "demo")]
NO_OPERATION = "Request body must include an 'operation' property."
FRAMEWORK = {"statusCode": 400, "error": "Bad Request", "message": NO_OPERATION}
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def tarball() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("package/config.yaml")
        member.size = 4000
        archive.addfile(member, io.BytesIO(bytes(range(250)) * 16))
    return packed.getvalue()


TAR = tarball()
GZIP = gzip.compress(TAR, mtime=0)


@dataclass(frozen=True)
class Came:
    """An answer as it came; ids in the body are replaced by `<uuid>`."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.headers]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


def read_head(client: RawClient) -> tuple[int, list[tuple[str, str]]]:
    status_line, *lines = client.read_answer_head().decode().removesuffix("\r\n\r\n").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return int(status_line.split(" ")[1]), headers


def read_chunks(client: RawClient) -> Iterator[bytes]:
    data = b""
    while True:
        while b"\r\n" not in data:
            data += more(client)
        size, _, data = data.partition(b"\r\n")
        while len(data) < int(size, 16) + 2:
            data += more(client)
        chunk, data = data[: int(size, 16)], data[int(size, 16) + 2 :]
        if not chunk:
            client._ahead = data
            return
        yield chunk


def more(client: RawClient) -> bytes:
    block = client.read()
    if not block:
        raise EOFError("closed in the body of an answer")
    return block


def read_came(client: RawClient) -> Came:
    status, headers = read_head(client)
    lower = {name.lower(): value for name, value in headers}
    if "transfer-encoding" in lower:
        body = b"".join(read_chunks(client))
    else:
        body = b""
        while len(body) < int(lower.get("content-length", 0)):
            body += more(client)
        client._ahead = body[int(lower.get("content-length", 0)) :]
        body = body[: int(lower.get("content-length", 0))]
    return Came(status, headers, _UUID.sub(b"<uuid>", body))


def form(
    fields: Sequence[tuple[str, str]] = DEPLOY,
    payload: bytes | None = GZIP,
    late: Sequence[tuple[str, str]] = (),
    name: str = "payload",
) -> bytes:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields
    ]
    if payload is not None:
        parts.append(
            f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="package.tar.gz"\r\n'
            "Content-Type: application/gzip\r\n\r\n".encode()
            + payload
            + b"\r\n"
        )
    parts += [
        f'--b\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in late
    ]
    return b"".join(parts) + b"--b--\r\n"


def basic(peer: Reachable, password: str | None = None) -> str:
    return "Basic " + b64encode(f"{peer.username}:{password or peer.password}".encode()).decode()


def head(peer: Reachable, authorization: str | None = "good", **headers: str) -> bytes:
    """A head for a chunked form, authorised by Basic unless told otherwise."""
    lines = {
        "Host": "peer",
        "Content-Type": "multipart/form-data; boundary=b",
        "Transfer-Encoding": "chunked",
    }
    if authorization is not None:
        lines["Authorization"] = basic(peer) if authorization == "good" else authorization
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    return post(peer.path, {name: value for name, value in lines.items() if value})


def operation(
    peer: Reachable, body: object, authorization: str | None = "good", **more: str
) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        head(
            peer,
            authorization,
            Content_Type=JSON,
            Transfer_Encoding="",
            Content_Length=str(len(content)),
            **more,
        )
        + content
    )


def connect(peer: FakePeer, cluster: FakeCluster) -> RawClient:
    return RawClient(peer.url, ca_file=cluster.ca_file)


def ask(peer: FakePeer, cluster: FakeCluster, request: bytes, *, usable: bool = True) -> Came:
    """Send a request, read its answer, and see what becomes of the connection."""
    with connect(peer, cluster) as client:
        client.send(request)
        came = read_came(client)
        if usable:
            assert (came.header("Connection"), came.header("Keep-Alive")) == (
                "keep-alive",
                "timeout=30",
            )
            client.send(b"GET /health HTTP/1.1\r\nHost: p\r\n\r\n")
            told = read_came(client).body
            assert re.fullmatch(rb"Harper(DB)? is running\.", told)
        else:
            assert client.read() == b""  # FIN, at once
    return came


def assert_fastify(came: Came, status: int, body: object, names: list[str] = FASTIFY_KEEP) -> None:
    assert (came.status, came.json) == (status, body)
    assert came.body == json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    assert came.names == names
    assert dict(came.headers) | {
        "vary": "Origin",
        "content-type": JSON,
        "server-timing": "db;dur=1",
    } == dict(came.headers)


def deployed(project: str = "demo", **more: str) -> dict[str, str]:
    message = f"Successfully deployed: {project}{more.pop('then', '')}"
    return {"message": message, **more, "deployment_id": "<uuid>"}


def failed(error: str, phase: str = "prepare") -> dict[str, str]:
    return {"error": error, "phase": phase, "deployment_id": "<uuid>"}
