"""A conversation with one adapter, checked at every message and kept to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cluster import FakeCluster
from harness.judge.leaks import leaked
from harness.judge.relay import usual_mint
from harness.peer.payloads import Payload
from harness.peer.peer import FakePeer
from harness.targets import DeployCommand, DeployNode, messages
from harness.targets.child import Child
from harness.targets.messages import Kind, Message

SECONDS = 20.0
"""How long an adapter may take for one message."""
_SHOWN = 300  # characters of a message


class WrongError(Exception):
    """Something that an adapter must do otherwise."""


@dataclass
class Talk:
    """A conversation with one adapter process, kept to be shown with the peers that it is of."""

    command: Sequence[str]
    cluster: FakeCluster
    payload: Payload
    started: Message = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    asked: list[FakePeer] = field(default_factory=list)
    _child: Child | None = None
    _seq: int = 0

    def begin(self) -> Message:
        """Start a fresh process and ask it who it is."""
        self.end()
        self._child = Child(self.command)
        self.started = self.ask("started", messages.start(self.next_seq()))
        messages.check_started(self.started)
        return self.started

    def begin_unless_begun(self) -> None:
        if self._child is None:
            self.begin()

    @property
    def child(self) -> Child:
        """The process; it has begun."""
        assert self._child is not None
        return self._child

    @property
    def stderr(self) -> str:
        return "" if self._child is None else self._child.stderr

    def ask(self, answer: Kind, message: Message, *, encoded: bytes | None = None) -> Message:
        """Send a message and read the reply to it, checked."""
        line = encoded or messages.encode(message["verb"], message)
        self._show("→", line)
        reply = self.child.ask(line, SECONDS)
        self._show("←", reply)
        return messages.decode(answer, reply, message["seq"])

    def deploy(self, *peers: FakePeer, payload: Path | None = None) -> list[dict[str, Any]]:
        """Deploy to these peers; return the records, or raise when there are none."""
        reply = self.ask("deployed", self.deploy_message(*peers, payload=payload))
        if "records" not in reply:
            raise WrongError(f"expected records, came {next(iter(set(reply) - {'seq'}))}")
        records: list[dict[str, Any]] = reply["records"]
        names = [record.get("node") for record in records]
        if names != [peer.name for peer in peers]:
            raise WrongError(f"expected one record per node in node order, came {names}")
        for record in records:
            if record.get("status") not in {"success", "failed"}:
                raise WrongError(f"status is success or failed, came {record.get('status')!r}")
        self._look_for_secrets(peers)
        return records

    def deploy_message(self, *peers: FakePeer, payload: Path | None = None) -> Message:
        self.asked += peers
        declared = self.started.get("capabilities", ())
        command = DeployCommand(
            nodes=tuple(
                DeployNode(peer.name, peer.url, usual_mint(peer, declared)) for peer in peers
            ),
            request={"operation": "deploy_component", "project": "demo", "note": "naïve ☃"},
            payload=payload or self.payload.path,
            ca_file=self.cluster.ca_file,
        )
        return messages.deploy(self.next_seq(), command)

    def next_seq(self) -> int:
        self._seq += 7  # not by one: an adapter repeats the number, it does not count
        return self._seq

    def end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _show(self, arrow: str, line: bytes) -> None:
        text = self.cluster.redacted(line.decode("utf-8", "backslashreplace"))
        text = " ".join(text.split())  # a line may be one of blanks
        self.lines.append(f"{arrow} {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'}")

    def _look_for_secrets(self, peers: Sequence[FakePeer]) -> None:
        if any(leaked(peer, self.child.stderr) for peer in peers):
            raise WrongError("standard error shows a password or token (BUG-41)")
        if any(leaked(peer, self.child.stdout) for peer in peers):
            raise WrongError("a reply shows a password or token (BUG-41)")
