"""A fake cluster whose peers witness every byte, and the judge of any deploy relay by them.

Tests import everything from here: `from harness import FakeCluster, Answer, ResetAfter`. The names
and their types stand in `__init__.pyi`, and each is loaded when it is first used, because pytest
imports this package at every start where the kit is installed. Rooms, from the bottom up:
`witness`, `faults`, `profiles`, `transport`, `peer`, `replication`, `fronts`, `cluster`; beside
them `targets`; on top `judge` and `cli`. Begin with `cluster.py`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
