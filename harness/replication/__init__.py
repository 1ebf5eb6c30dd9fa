"""The fake replication socket of a fake node, over which relays mint tokens.

It imports `witness`, `faults`, `transport` and `peer`. Begin with `socket.py`, then
read `conversation.py`, which serves one connection.
"""

from deploy_relay_kit.harness.replication.socket import FakeReplicationSocket

__all__ = ["FakeReplicationSocket"]
