"""An exchange of messages with one adapter, checked at every message and kept to be shown."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from msgspec import UNSET

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.judge.cases.leaks.search import leaked
from deploy_relay_kit.harness.judge.cases.relay import usual_mint
from deploy_relay_kit.harness.peer.payloads import Payload
from deploy_relay_kit.harness.peer.peer import FakePeer
from deploy_relay_kit.harness.targets import DeployCommand, DeployNode, messages
from deploy_relay_kit.harness.targets.child import Child
from deploy_relay_kit.harness.targets.messages import Deployed, Reply, Start, Started, Stop

SECONDS = 20.0
"""How long an adapter may take for one message."""
_SHOWN = 300  # characters of a message
_Reply = TypeVar("_Reply", bound=Reply)


class WrongError(Exception):
    """A mistake of an adapter."""


@dataclass
class Transcript:
    """An exchange of messages with one adapter process.

    Attributes:
        command: starts the adapter.
        cluster: the peers that the adapter deploys to.
        payload: what it deploys.
        lines: the messages so far, as they are shown.
        peers: the peers so far.
    """

    command: Sequence[str]
    cluster: FakeCluster
    payload: Payload
    lines: list[str] = field(default_factory=list)
    peers: list[FakePeer] = field(default_factory=list)
    _started: Started | None = None
    _child: Child | None = None
    _seq: int = 0

    def begin(self) -> Started:
        """Start a fresh process and ask what it is."""
        self.end()
        self._child = Child(self.command)
        self._started = self.ask(Started, Start(self.next_seq(), ca_file=self.cluster.ca_file))
        return self._started

    def begin_once(self) -> None:
        """Start a process unless one is running."""
        if self._child is None:
            self.begin()

    @property
    def child(self) -> Child:
        """The running process."""
        assert self._child is not None
        return self._child

    @property
    def stderr(self) -> str:
        return "" if self._child is None else self._child.stderr

    def ask(
        self, kind: type[_Reply], message: Start | Stop | DeployCommand, line: bytes | None = None
    ) -> _Reply:
        """Send a message, or a line in its place, and read the reply, checked."""
        return self.send(kind, line or messages.encode(message), message.seq)

    def send(self, kind: type[_Reply], line: bytes, seq: int) -> _Reply:
        """Send a line and read the reply to the message of this number, checked."""
        self._show("→", line)
        reply = self.child.ask(line, SECONDS)
        self._show("←", reply)
        return messages.decode(kind, reply, seq)

    def deploy(self, *peers: FakePeer, payload: Path | None = None) -> list[dict[str, Any]]:
        """Deploy to these peers and return the records; WrongError when there are none."""
        reply = self.ask(Deployed, self.command_for(*peers, payload=payload))
        if reply.records is UNSET:
            raise WrongError(f"expected records, got {reply}")
        names = [record.get("node") for record in reply.records]
        if names != [peer.name for peer in peers]:
            raise WrongError(f"expected one record per node in node order, got {names}")
        for record in reply.records:
            if record.get("status") not in {"success", "failed"}:
                raise WrongError(f"expected status success or failed, got {record.get('status')!r}")
        self._search_secrets(peers)
        return reply.records

    def command_for(self, *peers: FakePeer, payload: Path | None = None) -> DeployCommand:
        """The next deploy command, to these peers."""
        self.peers += peers
        declared = self._started.capabilities if self._started else ()
        return DeployCommand(
            seq=self.next_seq(),
            nodes=tuple(
                DeployNode(name=peer.name, url=peer.url, mint=usual_mint(peer, declared))
                for peer in peers
            ),
            request={"operation": "deploy_component", "project": "demo", "note": "naïve ☃"},
            payload=payload or self.payload.path,
            ca_file=self.cluster.ca_file,
        )

    def next_seq(self) -> int:
        self._seq += 7  # not 1: an adapter must repeat the number, not count
        return self._seq

    def stop(self) -> None:
        """End the process, and read the rest of its standard error."""
        if self._child is not None:
            self._child.kill()

    def end(self) -> None:
        self.stop()
        self._child = None

    def _show(self, arrow: str, line: bytes) -> None:
        text = self.cluster.redacted(line.decode("utf-8", "backslashreplace"))
        text = " ".join(text.split())
        self.lines.append(f"{arrow} {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'}")

    def _search_secrets(self, peers: Sequence[FakePeer]) -> None:
        if any(leaked(peer, self.child.stderr) for peer in peers):
            raise WrongError("standard error shows a password or token (BUG-41)")
        if any(leaked(peer, self.child.stdout) for peer in peers):
            raise WrongError("a reply shows a password or token (BUG-41)")
