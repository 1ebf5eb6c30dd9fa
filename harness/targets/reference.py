"""The reference relay, in this process: the only file of the harness that imports `relay`."""

import asyncio
import os
from importlib.metadata import version

from deploy_relay_kit import relay
from deploy_relay_kit.harness.targets.capabilities import CAPABILITIES, OF_CALLED_TARGETS
from deploy_relay_kit.harness.targets.child import another_zone
from deploy_relay_kit.harness.targets.deploy_command import (
    DeployCommand,
    DeployNode,
    GivenToken,
    LocalSettings,
    Mint,
    OperationsMint,
    ReplicationMint,
)
from deploy_relay_kit.harness.targets.outcome import DEADLINE, Outcome, TargetHungError


class ReferenceTarget:
    """Runs `relay.deploy` in an event loop of its own."""

    name = "reference"
    identity = f"the reference relay {version('deploy-relay-kit')}"
    capabilities = frozenset(CAPABILITIES) | OF_CALLED_TARGETS.keys()
    output = stderr = ""

    @property
    def pid(self) -> int:
        return os.getpid()

    def deploy(self, command: DeployCommand, deadline: float = DEADLINE) -> Outcome:
        """Relay the deploy.

        Raises:
            TargetHungError: there is no report by the deadline, in seconds.
        """
        try:
            with another_zone():
                return asyncio.run(asyncio.wait_for(self._deploy(command), deadline))
        except TimeoutError as error:
            raise TargetHungError(f"the relay did not answer within {deadline:.3g} s") from error

    async def _deploy(self, command: DeployCommand) -> Outcome:
        limits = command.limits
        try:
            async with asyncio.timeout(command.cancel_after) as cancellation:
                report = await relay.deploy(
                    nodes=[_node(node) for node in command.nodes],
                    request=command.request,
                    payload=command.payload,
                    retry=relay.Retry(limits.attempts, first_delay=limits.retry_delay),
                    ask_for_events=command.events,
                    tls=relay.Tls(command.ca_file, command.certificate_file, command.key_file),
                    limits=relay.Limits(limits.connect, limits.mint, limits.stall, limits.answer),
                    local=None if command.local is None else _local(command.local),
                    allow_http=command.allow_http,
                )
        except relay.InputError as error:
            return Outcome(refused=str(error))
        except TimeoutError:
            if cancellation.expired():
                return Outcome(cancelled=True)
            raise
        return Outcome.of(report.records)

    def close(self) -> None:
        """There is nothing to close between deploys."""


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
        case ReplicationMint():
            return relay.ReplicationMint()


def _local(local: LocalSettings) -> relay.LocalSettings:
    return relay.LocalSettings(
        local.secure_port,
        local.insecure_port,
        local.secure_replication_port,
        local.insecure_replication_port,
    )
