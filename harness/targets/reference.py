"""The reference relay, in this process: the only file of the harness that knows `relay`."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import relay
from harness.targets.deploy import GivenToken, OperationsMint
from harness.targets.outcome import Outcome, TargetBrokeError, TargetSkippedError

if TYPE_CHECKING:
    from harness.targets.deploy import DeployCommand, DeployNode, Limits, Mint


class ReferenceTarget:
    """Runs `relay.deploy` in an event loop of its own."""

    name = "reference"
    capabilities = frozenset(
        {
            "mint.operations",
            "mint.given",
            "limits",
            "cancel",
            "insecure_node",
            "node_ca",
            "client_certificate",
            "urls_from_parts",
            "allow_http",
            "native_values",
        }
    )
    output = ""

    @property
    def pid(self) -> int:
        return os.getpid()

    def deploy(self, command: DeployCommand) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetBrokeError: no report has come by the command's deadline.
            TargetSkippedError: the reference cannot mint in this way.

        """
        try:
            return asyncio.run(asyncio.wait_for(self._deploy(command), command.deadline))
        except TimeoutError as error:
            raise TargetBrokeError(f"no report within {command.deadline:.3g} s") from error

    async def _deploy(self, command: DeployCommand) -> Outcome:
        try:
            async with asyncio.timeout(command.cancel_after) as giving_up:
                report = await relay.deploy(
                    nodes=[_node(node) for node in command.nodes],
                    request=command.request,
                    payload=command.payload,
                    tls=relay.Tls(command.ca_file, command.certificate_file, command.key_file),
                    limits=_limits(command.limits),
                    local=_local(command),
                    allow_http=command.allow_http,
                )
        except relay.InputError as error:
            return Outcome(refused=str(error))
        except TimeoutError:
            if giving_up.expired():
                return Outcome(cancelled=True)
            raise
        return Outcome.of(report.records)

    def close(self) -> None:
        """Nothing is held between deploys."""


def _node(node: DeployNode) -> relay.Node:
    return relay.Node(
        node.name,
        node.url,
        host=node.host,
        port=node.port,
        replication_url=node.replication_url,
        verify=node.verify,
        ca_file=node.ca_file,
        mint=_mint(node.mint),
    )


def _mint(mint: Mint) -> relay.Mint:
    match mint:
        case OperationsMint(username, password):
            return relay.OperationsMint(username, password)
        case GivenToken(token):
            return relay.GivenToken(token)
    raise TargetSkippedError(f"the reference cannot mint by {type(mint).__name__}")


def _limits(limits: Limits) -> relay.Limits:
    return relay.Limits(
        connect=limits.connect, mint=limits.mint, stall=limits.stall, answer=limits.answer
    )


def _local(command: DeployCommand) -> relay.LocalSettings | None:
    if command.local is None:
        return None
    return relay.LocalSettings(command.local.secure_port, command.local.insecure_port)
