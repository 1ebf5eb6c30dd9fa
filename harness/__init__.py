"""A fake cluster whose peers witness every byte, and the judge of any deploy relay by them.

Tests import everything from here: `from deploy_relay_kit.harness import FakeCluster, Answer`. The
names and their types stand in `__init__.pyi`, and each is loaded when it is first used, so that a
test waits for no more than it needs. Rooms, from the bottom up:
`witness`, `faults`, `profiles`, `transport`, `peer`, `replication`, `fronts`, `cluster`; beside
them `targets` and `nodes`; on top `judge` and `cli`. Begin with `cluster.py`.
"""

import lazy_loader

if __name__ == "harness":
    from deploy_relay_kit.alias import alias

    alias(__name__)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
