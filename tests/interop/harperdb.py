"""A real HarperDB 4.7.29, started for the tests with its files in a directory of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy_relay_kit.harness.fronts.daemon import (
    directory_for,
    find_program,
    reserved_port,
    running,
)
from deploy_relay_kit.harness.peer.certificates import Authority

VARIABLE = "RELAY_HARPERDB"
HOW = f"`npm install harperdb@4.7.29` in a directory, and name it in {VARIABLE}"
_PROGRAM = "node_modules/harperdb/bin/harperdb.js"
_START_DEADLINE = 120.0
USER, PASSWORD = "admin", "the-password-of-admin"


@dataclass(frozen=True)
class HarperDb:
    """A running one; `components` is the directory of what was deployed."""

    port: int
    ca_file: Path
    components: Path

    path = "/"
    username = USER
    password = PASSWORD

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/"

    def deployed(self, project: str) -> Path:
        return self.components / project


@contextlib.contextmanager
def running_harperdb() -> Iterator[HarperDb]:
    """Start it on loopback, with TLS; skip the test that asks where it is not installed.

    It opens one more port, a random one of all addresses: 4.7.29 takes the word `all`, for which it
    keeps its authentication, for the number of a port. No setting changes that.
    """
    folder, node = os.environ.get(VARIABLE, ""), find_program("node")
    program = Path(folder, _PROGRAM)
    if not folder or node is None:
        pytest.skip(f"no HarperDB: {HOW}")
    if not program.is_file():
        pytest.fail(f"{VARIABLE} is {folder!r}, which has no {_PROGRAM}; {HOW}")
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(directory_for("harperdb"))
        port, app, secure, mqtt, replication = (
            stack.enter_context(reserved_port()) for _ in range(5)
        )
        authority = Authority(directory)
        key, chain = authority.leaf("localhost", "127.0.0.1")
        directory.joinpath("key.pem").write_bytes(key)
        directory.joinpath("chain.pem").write_bytes(chain)
        for name in ("home", "root"):
            directory.joinpath(name).mkdir()
        environment = {
            "HOME": str(directory / "home"),  # where it looks for an older installation
            "ROOTPATH": str(directory / "root"),
            "TC_AGREEMENT": "yes",
            "DEFAULTS_MODE": "prod",
            "HDB_ADMIN_USERNAME": USER,
            "HDB_ADMIN_PASSWORD": PASSWORD,
            "NODE_HOSTNAME": "localhost",
            "REPLICATION_HOSTNAME": "localhost",
            "THREADS_COUNT": "1",
            "THREADS_DEBUG": "false",
            "LOCALSTUDIO_ENABLED": "false",
            "OPERATIONSAPI_NETWORK_PORT": "null",
            "OPERATIONSAPI_NETWORK_SECUREPORT": f"127.0.0.1:{port}",
            "HTTP_PORT": f"127.0.0.1:{app}",
            "HTTP_SECUREPORT": f"127.0.0.1:{secure}",
            "MQTT_NETWORK_PORT": f"127.0.0.1:{mqtt}",
            "MQTT_NETWORK_SECUREPORT": "null",
            "REPLICATION_PORT": "null",
            "REPLICATION_SECUREPORT": f"127.0.0.1:{replication}",
            "TLS_CERTIFICATE": str(directory / "chain.pem"),
            "TLS_PRIVATEKEY": str(directory / "key.pem"),
        }

        def ready() -> None:
            context = authority.client_context()
            connection = http.client.HTTPSConnection("localhost", port, timeout=5, context=context)
            with contextlib.closing(connection):
                try:
                    connection.request("GET", "/health")
                    connection.getresponse()
                except (http.client.HTTPException, ssl.SSLError) as error:
                    raise ConnectionError(str(error)) from error

        stack.enter_context(
            running([node, str(program)], directory, ready, environment, _START_DEADLINE)
        )
        yield HarperDb(port, authority.file, directory / "root" / "components")
