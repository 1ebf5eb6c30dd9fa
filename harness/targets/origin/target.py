"""An origin in any language: a program that serves an operations API and fans out.

The kit sends each deploy to it as Harper's command line does, and takes `replicated` of its answer
as the records.
"""

import asyncio
import contextlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import trustme
from msgspec import Meta, Struct

from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.child import Child, ChildError
from deploy_relay_kit.harness.targets.command import START_SECONDS, STOP_SECONDS, ProgramTarget
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.messages import MessageError
from deploy_relay_kit.harness.targets.origin.client import Answered, Api, answered
from deploy_relay_kit.harness.targets.outcome import (
    DEADLINE,
    Outcome,
    TargetBrokeError,
    TargetHungError,
)

USERNAME = "deployer"
_SLOWEST = 16 * 1024 * 1024
"""Bytes per second in which an origin must receive and stage a payload, before it fans out."""
_OF_A_CALL = {"verb", "seq", "request", "payload", "events", "cancel_after"}


class Start(Struct):
    """Kit: the only line on the standard input of an origin; its end means that it must exit.

    Attributes:
        host: where to listen.
        port: 0: any free port.
        directory: an existing directory, where the origin may keep what it likes.
        certificate_file: its certificate for TLS, a PEM file.
        key_file: the key of its certificate.
        username: the user that deploys.
        password: the user's password.
        deploy_file: the nodes of the next deploy; read it for each deploy. It has the members of
            the message `deploy` of an adapter, without `request` and `payload`.
        protocol: version of this protocol.
    """

    host: str
    port: int
    directory: Path
    certificate_file: Path
    key_file: Path
    username: str
    password: str
    deploy_file: Path
    protocol: int = messages.PROTOCOL


class Listening(Struct):
    """Origin: its only line on the standard output, as soon as it listens.

    Attributes:
        url: URL of its operations API.
        relay: name of the origin.
        protocol: version of this protocol.
        capabilities: as those of an adapter.
        version: version of the origin.
    """

    url: Annotated[str, Meta(pattern="^https://")]
    relay: Annotated[str, Meta(min_length=1)]
    protocol: int
    capabilities: list[str]
    version: str = ""

    def __post_init__(self) -> None:
        if self.protocol != messages.PROTOCOL:
            text = f"the origin speaks protocol {self.protocol}, this kit {messages.PROTOCOL}"
            raise ValueError(text)
        messages.check_capabilities(self.capabilities)


class OriginTarget(ProgramTarget[Listening]):
    """An origin, which gets each deploy as a client sends it."""

    _noun = "origin"
    _home: Path | None = None
    _api: Api | None = None

    @property
    def identity(self) -> str:
        """The name and version of the origin; this starts it."""
        return f"origin {super().identity}"

    def deploy(self, command: DeployCommand, deadline: float = DEADLINE) -> Outcome:
        """Send the deploy to the origin.

        Raises:
            TargetBrokeError: the origin crashed, hung, or its answer has no records.
        """
        deadline += _size(command.payload) / _SLOWEST
        with self.told(command) as (api, child):
            try:
                with self._budget.asking(), self._killed_on_error(child):
                    answer = _asked(api, command, deadline)
                    child.look()
            except (OSError, ChildError) as error:
                raise TargetBrokeError(f"the origin: {error}\n{child.stderr}".rstrip()) from error
        return answered(answer)

    @contextlib.contextmanager
    def told(self, command: DeployCommand) -> Iterator[tuple[Api, Child]]:
        """Inside, the origin knows the nodes of a deploy, which any client may send to its API."""
        child = self._running()
        assert self._api is not None
        assert self._home is not None
        child.forget_output()
        deploy_file = self._home / "deploy.json"
        nodes = {it: v for it, v in messages.plain(command).items() if it not in _OF_A_CALL}
        deploy_file.touch(mode=0o600)
        deploy_file.write_text(json.dumps(nodes), encoding="utf-8")
        try:
            yield self._api, child
        finally:
            deploy_file.unlink(missing_ok=True)  # it holds passwords

    @property
    def home(self) -> Path:
        """The directory of the kit that holds `origin`, the directory of the origin."""
        self._running()
        assert self._home is not None
        return self._home

    def close(self) -> None:
        """End the origin, and remove its directory."""
        if self._child is not None:
            with contextlib.suppress(ChildError):
                self._child.hang_up(STOP_SECONDS)
        self._kill()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def _start(self, child: Child) -> Listening:
        home = self._home = self._home or _new_home()
        start = Start(
            "127.0.0.1",
            0,
            home / "origin",
            home / "certificate.pem",
            home / "certificate.pem",
            USERNAME,
            secrets.token_urlsafe(16),
            home / "deploy.json",
        )
        try:
            line = child.ask(msgspec.json.encode(start, enc_hook=str) + b"\n", START_SECONDS)
            listening = _listening(line)
        except (ChildError, MessageError) as error:
            child.kill()  # and read the rest of what it wrote
            text = f"the origin was asked to start and {error}\n{child.stderr}".rstrip()
            raise TargetBrokeError(text) from error
        self._api = Api(listening.url, home / "ca.pem", start.username, start.password)
        return listening


def _listening(line: bytes) -> Listening:
    try:
        return msgspec.json.decode(line, type=Listening)
    except msgspec.MsgspecError as error:
        raise MessageError(f"answered wrongly: {error}: {messages.show(line)}") from error


def _size(payload: Path) -> int:
    try:
        return payload.stat().st_size
    except OSError:
        return 0


def _asked(api: Api, command: DeployCommand, deadline: float) -> Answered:
    try:
        return asyncio.run(asyncio.wait_for(api.deploy(command), deadline))
    except TimeoutError as error:
        raise TargetHungError(f"the origin did not answer within {deadline:.3g} s") from error


def _new_home() -> Path:
    """A directory with an authority, a certificate, and room for the origin."""
    home = Path(tempfile.mkdtemp(prefix="deploy-relay-kit-origin-"))
    (home / "origin").mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(home / "certificate.pem"))
    return home
