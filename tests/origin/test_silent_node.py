"""A node that takes everything, and is silent when it is asked what it has."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy_relay_kit.relay.command import deployments
from deploy_relay_kit.relay.command.cli import main
from deploy_relay_kit.relay.fanout import FanOut
from deploy_relay_kit.relay.limits import Limits
from tests.origin.archives import component
from tests.origin.nodes import RealCluster, real_cluster

DEPLOYED = {"message": "deployed", "payload_hash": "of its own", "deployment_id": "of its own"}


@contextlib.contextmanager
def silent(cluster: RealCluster) -> Iterator[str]:
    """The URL of such a node."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    self.rfile.read(size + 2)
                answer = DEPLOYED
            else:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body.get("deployment_id") == "dripping":
                    self.drip()
                    return
                if body["operation"] in {"get_deployment", "list_deployments"}:
                    over.wait()
                answer = {"operation_token": "a-token"}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def drip(self) -> None:
            """One event, then comments for ever."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            event = {"phase": "prepare", "status": "start"}
            self.wfile.write(f"event: phase\ndata: {json.dumps(event)}\n\n".encode())
            with contextlib.suppress(OSError):
                while not over.wait(0.05):
                    self.wfile.write(b": alive\n\n")

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cluster.issue("127.0.0.1"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_a_node_that_does_not_say_what_it_has_holds_up_no_deploy(tmp_path: Path) -> None:
    with real_cluster(tmp_path) as cluster, silent(cluster) as url:
        origin = cluster.start("n1", "[cluster.limits]\nmint = 1.0\n")
        cluster.nodes_file.write_text(f'[[node]]\nname = "silent"\nurl = "{url}"\n')
        assert origin.deploy(component(version=b"1"))[0] == 200  # as if another node sent it
        status, answer = origin.deploy(component(version=b"2"), replicated=True)
        assert status == 500, answer
        assert answer["replicated"][0]["status"] == "success"
        assert "another build: silent (no answer in 1 s)" in answer["error"]


@pytest.mark.parametrize(
    "verb", [["deployments"], ["deployment", "some-id"], ["deployment", "some-id", "--follow"]]
)
def test_the_record_of_a_node_is_not_awaited_for_ever(
    verb: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(deployments, "FanOut", partial(FanOut, limits=Limits(mint=1.0)))
    with real_cluster(tmp_path) as cluster, silent(cluster) as url:
        login = ["--user=admin", f"--password-file={cluster.home / 'password'}"]
        asked = [*verb, f"--via={url}", *login, f"--ca={cluster.ca_file}"]
        assert main(asked) == 1
        assert "no answer in 1 s" in capsys.readouterr().err


def test_a_node_that_sends_no_event_is_not_followed_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Comments, which keep a connection alive, are no events."""
    monkeypatch.setattr(deployments, "FanOut", partial(FanOut, limits=Limits(answer=1.0)))
    with real_cluster(tmp_path) as cluster, silent(cluster) as url:
        login = ["--user=admin", f"--password-file={cluster.home / 'password'}"]
        asked = ["deployment", "dripping", "--follow", f"--via={url}", *login]
        assert main([*asked, f"--ca={cluster.ca_file}"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "phase prepare: start\n"
    assert "no answer in 1 s" in shown.err
