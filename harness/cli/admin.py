"""The admin endpoint of `relay-harness serve`: JSON over HTTP on the loopback, with a token.

It changes the faults of nodes while the cluster runs. `GET /nodes` lists the nodes,
`PUT /nodes/NAME` sets `{"faults": ["ResetAfter:65536"]}`, `POST /nodes/NAME/kill` (or `silence`,
`restart`) does that, and `GET /timelines` shows what every node saw.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.errors import InputError
from deploy_relay_kit.harness.faults.kinds import Fault, is_read_at_start
from deploy_relay_kit.harness.faults.schedule import FaultSchedule
from deploy_relay_kit.harness.faults.text import description, parse_fault
from deploy_relay_kit.harness.peer.peer import FakePeer

BODY_LIMIT = 64 * 1024  # bytes
_TIMEOUT = 10.0  # seconds that a client may take to send a request


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, error: str) -> None:
        super().__init__(error)
        self.status = status


@contextmanager
def admin(cluster: FakeCluster) -> Iterator[dict[str, str]]:
    """Serve the endpoint on a free port; yields `{"url", "token"}`, as a client needs them."""
    token = secrets.token_urlsafe(32)
    handler = type("Handler", (_Handler,), {"admin": Admin(cluster), "token": token})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield {"url": f"http://127.0.0.1:{server.server_port}", "token": token}
        finally:
            server.shutdown()


class Admin:
    """What the endpoint does, without HTTP."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """The answer to a request, as JSON values.

        Raises:
            InputError: the body is wrong.
            _RefusedError: there is no such thing, or not with this method.
        """
        match method, path.strip("/").split("/"):
            case "GET", ["nodes"]:
                return [_shown(peer) for peer in self._cluster]
            case "GET", ["timelines"]:
                return {"timelines": self._cluster.timelines()}
            case "GET", ["nodes", name]:
                return _shown(self._peer(name))
            case "PUT", ["nodes", name]:
                with self._lock:
                    set_faults(self._peer(name), _faults_in(body))
                return _shown(self._peer(name))
            case "POST", ["nodes", name, "kill" | "silence" | "restart" as act]:
                with self._lock:
                    getattr(self._cluster, act)(self._peer(name).name)
                return _shown(self._peer(name))
        raise _RefusedError(
            HTTPStatus.NOT_FOUND,
            f"{method} {path} is unknown: use GET /nodes, GET /timelines, PUT /nodes/NAME, or "
            "POST /nodes/NAME/kill, /silence, /restart",
        )

    def _peer(self, name: str) -> FakePeer:
        if name not in self._cluster:
            known = ", ".join(peer.name for peer in self._cluster)
            raise _RefusedError(HTTPStatus.NOT_FOUND, f"no node {name!r}; the nodes are {known}")
        return self._cluster[name]


def set_faults(peer: FakePeer, faults: Sequence[Fault]) -> None:
    """Set the faults of a node that runs; restart it for those that are read at the start."""
    at_start = [it for it in faults if is_read_at_start(it)]
    if at_start or any(is_read_at_start(it) for it in peer.faults) or not peer.http.is_running():
        peer.kill()
        peer.fault = tuple(faults)
        peer.start()
    else:
        peer.fault = tuple(faults)


def _shown(peer: FakePeer) -> dict[str, Any]:
    return {
        "name": peer.name,
        "url": peer.url,
        "running": peer.http.is_running(),
        "faults": [description(fault) for fault in peer.faults],
    }


def _faults_in(body: bytes) -> list[Fault]:
    try:
        texts: Any = json.loads(body)["faults"]
    except (ValueError, KeyError, TypeError, RecursionError):
        texts = None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError('give {"faults": ["FAULT", …]}; an empty list heals the node')
    faults = [parse_fault(text) for text in texts]
    FaultSchedule(tuple(faults))  # also refuses two that contradict each other
    return faults


class _Handler(BaseHTTPRequestHandler):
    timeout = _TIMEOUT
    admin: Admin
    token: str

    def _serve(self) -> None:
        try:
            self._check_token()
            answer, status = self._answer(), HTTPStatus.OK
        except _RefusedError as error:
            answer, status = {"error": str(error)}, error.status
        except ValueError as error:
            answer, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815 - http.server's names

    def _check_token(self) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        given = token.encode("latin-1", "replace")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self.token.encode()):
            self.close_connection = True
            raise _RefusedError(
                HTTPStatus.UNAUTHORIZED, "give the token: Authorization: Bearer TOKEN"
            )

    def _answer(self) -> Any:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or len(length) > len(str(BODY_LIMIT)) or int(length) > BODY_LIMIT:
            self.close_connection = True
            raise _RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_LIMIT} bytes"
            )
        return self.admin.answer(self.command, self.path, self.rfile.read(int(length)))

    def log_message(self, *_: object) -> None:
        """Print nothing: standard error belongs to the timelines."""
