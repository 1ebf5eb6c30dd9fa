"""The reference relay, in this process: the only file of the harness that knows `relay`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import relay

if TYPE_CHECKING:
    from harness.targets import DeployCommand

_DEADLINE = 60.0


class ReferenceTarget:
    """Runs `relay.deploy` in an event loop of its own."""

    name = "reference"

    def deploy(self, command: DeployCommand) -> list[dict[str, Any]]:
        """Relay the deploy; raise TimeoutError when no report has come within a minute."""
        return asyncio.run(asyncio.wait_for(self._deploy(command), _DEADLINE))

    async def _deploy(self, command: DeployCommand) -> list[dict[str, Any]]:
        nodes = [
            relay.Node(
                node.name,
                node.url,
                verify=node.verify,
                mint=relay.OperationsMint(node.username, node.password),
            )
            for node in command.nodes
        ]
        report = await relay.deploy(
            nodes=nodes,
            request=command.request,
            payload=command.payload,
            tls=relay.Tls(ca_file=command.ca_file),
        )
        return report.records

    def close(self) -> None:
        """Nothing is held between deploys."""
