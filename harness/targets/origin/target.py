"""An origin in any language: a program that serves an operations API and fans out.

The kit sends each deploy to it as Harper's command line does, and takes `replicated` of its answer
as the records.
"""

import asyncio
import contextlib
import json
import secrets
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import trustme
from msgspec import Meta, Struct

from deploy_relay_kit.harness.targets import messages
from deploy_relay_kit.harness.targets.child import Child, ChildError
from deploy_relay_kit.harness.targets.deploy_command import DeployCommand
from deploy_relay_kit.harness.targets.messages import MessageError
from deploy_relay_kit.harness.targets.origin.client import Answered, Api, answered
from deploy_relay_kit.harness.targets.outcome import (
    DEADLINE,
    HangBudget,
    Outcome,
    TargetBrokeError,
    TargetHungError,
)

START_SECONDS = 15.0
STOP_SECONDS = 5.0
USERNAME = "deployer"
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


class OriginTarget:
    """Starts an origin when it is first needed, and again after it broke."""

    def __init__(self, command: Sequence[str]) -> None:
        """Prepare to run this command; nothing is started."""
        self.name = shlex.join(command)
        self._command = command
        self._home: Path | None = None
        self._child: Child | None = None
        self._listening: Listening | None = None
        self._api: Api | None = None
        self._budget = HangBudget()

    @property
    def capabilities(self) -> frozenset[str]:
        """What the origin declares; this starts it.

        Raises:
            TargetBrokeError: it does not start.
        """
        return frozenset(self._declared.capabilities)

    @property
    def identity(self) -> str:
        """The name and version of the origin; this starts it."""
        return f"origin {self._declared.relay} {self._declared.version}".rstrip()

    @property
    def pid(self) -> int:
        """The process of the origin; another one after it broke."""
        return self._running().pid

    @property
    def output(self) -> str:
        """The end of what the origin wrote during the last deploy."""
        return self.stderr

    @property
    def stderr(self) -> str:
        """The end of what it wrote to stderr."""
        return "" if self._child is None else self._child.stderr

    def deploy(self, command: DeployCommand, deadline: float = DEADLINE) -> Outcome:
        """Send the deploy to the origin.

        Raises:
            TargetBrokeError: the origin crashed, hung, or its answer has no records.
        """
        child = self._running()
        assert self._api is not None
        assert self._home is not None
        child.forget_output()
        deploy_file = self._home / "deploy.json"
        nodes = {it: v for it, v in messages.plain(command).items() if it not in _OF_A_CALL}
        deploy_file.touch(mode=0o600)
        deploy_file.write_text(json.dumps(nodes), encoding="utf-8")
        try:
            with self._budget.asking():
                answer = _asked(self._api, command, deadline)
            child.look()
        except TargetHungError:
            self._kill()
            raise
        except (OSError, ChildError) as error:
            with contextlib.suppress(ChildError):
                child.look()
            written = child.stderr.strip()
            self._kill()
            raise TargetBrokeError(f"the origin: {error}\n{written}".rstrip()) from error
        finally:
            deploy_file.unlink(missing_ok=True)  # it holds passwords
        return answered(answer)

    def close(self) -> None:
        """End the origin, and remove its directory."""
        if self._child is not None:
            with contextlib.suppress(ChildError):
                self._child.hang_up(STOP_SECONDS)
        self._kill()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    @property
    def _declared(self) -> Listening:
        if self._listening is None:
            self._running()
        assert self._listening is not None
        return self._listening

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _running(self) -> Child:
        if self._child is None:
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
            self._child, self._listening = _started(self._command, start)
            self._api = Api(self._listening.url, home / "ca.pem", start.username, start.password)
        return self._child


def _listening(line: bytes) -> Listening:
    try:
        return msgspec.json.decode(line, type=Listening)
    except msgspec.MsgspecError as error:
        raise MessageError(f"answered wrongly: {error}: {messages.show(line)}") from error


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


def _started(command: Sequence[str], start: Start) -> tuple[Child, Listening]:
    try:
        child = Child(command)
    except ChildError as error:
        raise TargetBrokeError(f"the origin {error}") from error
    try:
        line = child.ask(msgspec.json.encode(start, enc_hook=str) + b"\n", START_SECONDS)
        return child, _listening(line)
    except (ChildError, MessageError) as error:
        child.kill()
        shown: Any = child.stderr.strip()
        raise TargetBrokeError(f"the origin was asked to start and {error}\n{shown}") from error
    except BaseException:  # Ctrl-C must not leave it running
        child.kill()
        raise
