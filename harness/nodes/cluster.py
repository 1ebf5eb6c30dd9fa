"""A cluster of real nodes, which deploy, replicate and keep a record."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy_relay_kit import clusters
from deploy_relay_kit.extras import EXTRA_OF, remedy
from deploy_relay_kit.harness.faults.checks import check_int, check_none, check_path, check_text
from deploy_relay_kit.harness.nodes.node import RealNode, launch
from deploy_relay_kit.harness.peer.addresses import loopback_address
from deploy_relay_kit.harness.peer.certificates import Authority, check_authority

_STOP_SECONDS = 10.0  # a node gives an upload 5
_SHOWN = 5  # nodes in the `repr` of a cluster
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", re.ASCII)  # it is a host name, too
RELAY = (sys.executable, "-m", "deploy_relay_kit.relay")
"""The command `relay` of this Python."""


class RealCluster:
    """Processes of `relay serve` under one authority; a context manager that stops them.

    Each node listens on a loopback address of its own (where the system has them) and has its
    directory. All know each other, share a key for tokens, and have one super user.

    Attributes:
        home: the directory with the files that the nodes share, and one directory for each node.
        authority: signs the certificate of each node.
        ca_file: the authority's certificate.
        nodes_file: the nodes, as each node reads them anew for each deploy.
        username, password: a super user of each node.
        is_stopped: whether `stop` was called.
    """

    node_type: type[RealNode] = RealNode
    judging = False

    def __init__(
        self,
        nodes: int = 0,
        *,
        settings: str = "",
        directory: str | os.PathLike[str] | None = None,
        authority: Authority | None = None,
        password: str | None = None,
    ) -> None:
        """Start a cluster of `nodes` nodes, `node-1` and so on; add others with `start`.

        Args:
            nodes: how many.
            settings: more lines for the `node.toml` of each, such as `replication_port = 0`.
            directory: where all files are; by default a temporary one, which `stop` removes.
            authority: signs the certificates; by default a new one.
            password: of the super user; by default a random one.

        Raises:
            ImportError: the extra `node` is not installed.
            RuntimeError: a node did not start; with what it wrote to standard error.
        """
        check_int(least=0).validate("nodes", nodes)
        check_text.validate("settings", settings)
        (check_none | check_path).validate("directory", directory)
        check_authority.validate("authority", authority)
        (check_none | check_text).validate("password", password)
        _check_extra()
        self._is_temporary = directory is None
        self.home = Path(directory or tempfile.mkdtemp(prefix="real-cluster-")).absolute()
        self.home.mkdir(parents=True, exist_ok=True)
        self.authority = authority or Authority()
        self.ca_file = self.authority.write(self.home / "ca.pem")
        self.nodes_file = self.home / "nodes.toml"
        self.username, self.password = "admin", password or secrets.token_urlsafe(12)
        self.is_stopped = False
        self._nodes: list[RealNode] = []
        self._said = ""
        self._write_shared()
        clusters.started(self)
        try:
            for number in range(1, nodes + 1):
                self._launch(f"node-{number}", settings, RELAY)
            for node in self._nodes:  # they start at the same time
                node.wait_for_start()
        except BaseException:
            self.stop()
            raise
        self.publish()

    @property
    def nodes(self) -> Sequence[RealNode]:
        """Every node started so far, in order; one that was started again is in its old place."""
        return self._nodes

    def start(
        self, name: str | None = None, settings: str = "", *, program: Sequence[str] = RELAY
    ) -> RealNode:
        """Start one more node, or one of that name again, with its directory and its port.

        All nodes know it then.

        Args:
            name: its name; by default `node-1`, `node-2` and so on.
            settings: more lines for its `node.toml`.
            program: the command `relay`, such as that of another version.

        Raises:
            RuntimeError: it did not start; with what it wrote to standard error.
        """
        (check_none | check_text).validate("name", name)
        check_text.validate("settings", settings)
        node = self._launch(name or f"node-{len(self._nodes) + 1}", settings, program)
        node.wait_for_start()
        self.publish()
        return node

    def publish(self) -> None:
        """Write `nodes_file`, with every node, which a test may have written otherwise."""
        text = ""
        for node in self._nodes:
            text += f'[[node]]\nname = "{node.name}"\nurl = "{node.url}"\n'
            if node.replication_url is not None:
                text += f'replication_url = "{node.replication_url}"\n'
        new = self.nodes_file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.nodes_file)

    def describe(self) -> dict[str, Any]:
        """The cluster as JSON values, as of `FakeCluster.describe`."""
        login = {"username": self.username, "password": self.password}
        return {
            "ca_file": str(self.ca_file),
            "nodes": [{"name": it.name, "url": it.url, **login} for it in self._nodes],
        }

    def stop(self) -> None:
        """Stop every node; one that takes longer than some seconds is killed."""
        self.is_stopped = True
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            node.stop(_STOP_SECONDS)
        self._said = self.timelines()
        if self._is_temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def timelines(self, since: float = 0.0) -> str:
        """What the nodes wrote to standard error, for the report of a failed test."""
        del since
        return self._said or "\n".join(f"{it!r}\n{it.stderr}".strip() for it in self._nodes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __iter__(self) -> Iterator[RealNode]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, name: str) -> RealNode:
        """The node of a name; KeyError when there is none."""
        for node in self._nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node is named {name!r}; there are {[it.name for it in self._nodes]}")

    def __repr__(self) -> str:
        first = [f"{it.name} {it.url}" for it in self._nodes[:_SHOWN]]
        more = len(self._nodes) - len(first)
        shown = ", ".join([*first, f"and {more} more"] if more else first) or "no nodes"
        return f"<{type(self).__name__} of {shown} in {self.home}>"

    def _launch(self, name: str, settings: str, program: Sequence[str]) -> RealNode:
        """Start a process, which `nodes` has even if it does not come up."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"name must be letters, digits and dashes, not {name!r}")
        names = [it.name for it in self._nodes]
        place = names.index(name) if name in names else len(names)
        old = self._nodes[place] if name in names else None
        home = self.home / name
        home.mkdir(exist_ok=True)
        address = loopback_address(place + 1)
        if old is None:
            (home / "leaf.pem").write_bytes(b"".join(self.authority.leaf(address, name)))
        else:
            old.kill()
        port = int(old.url.rpartition(":")[2].strip("/")) if old is not None and old.url else 0
        (home / "node.toml").write_text(f"""
name = "{name}"
directory = "data"
host = "{address}"
port = {port}
certificate_file = "leaf.pem"
key_file = "leaf.pem"
token_key_file = "../token.pem"
{settings}
[cluster]
nodes_file = "../nodes.toml"
ca_file = "../ca.pem"
username = {json.dumps(self.username)}
password_file = "../password"
[users]
admin = {{ hash = "{self._hash}" }}
guest = {{ hash = "{self._hash}", super_user = false }}
""")
        context = self.authority.client_context()
        process = launch(program, home)
        node = self.node_type(name, home, self.username, self.password, context, process)
        self._nodes[place:] = [node, *self._nodes[place + 1 :]]
        return node

    def _write_shared(self) -> None:
        self.publish()
        key = rsa.generate_private_key(65_537, 2_048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for name, content in (("token.pem", pem), ("password", self.password.encode())):
            (self.home / name).touch(mode=0o600)
            (self.home / name).write_bytes(content)
        salt = os.urandom(16)
        hashed = hashlib.scrypt(self.password.encode(), salt=salt, n=1 << 14, r=8, p=1)
        texts = [base64.b64encode(it).decode() for it in (salt, hashed)]
        self._hash = "$".join(["scrypt", *texts])  # as `relay hash-password` writes it


def _check_extra() -> None:
    needed = [name for name, extra in EXTRA_OF.items() if extra in {"relay", "node"}]
    if missing := [it for it in needed if find_spec(it) is None]:
        raise ImportError(f"a real node needs {missing[0]}; {remedy('node')}")
