"""The fake replication socket of a fake peer, where relays may mint their tokens."""

from harness.replication.socket import FakeReplicationSocket

__all__ = ["FakeReplicationSocket"]
