"""The fake clusters of the running test, for the report of its failure.

The pytest plugin and `FakeCluster` meet here: neither loads the other. It imports nothing of the
kit, since the plugin loads it at every start of pytest.
"""

from typing import Protocol


class Cluster(Protocol):
    """What the plugin asks of a `FakeCluster`."""

    judging: bool

    @property
    def is_stopped(self) -> bool: ...
    def timelines(self, since: float = 0.0) -> str: ...


_started: list[Cluster] | None = None  # None: no pytest with the plugin runs here


def keep_started() -> None:
    """Remember from now on which clusters are started."""
    global _started  # noqa: PLW0603 - one process, one journal
    if _started is None:
        _started = []


def started(cluster: Cluster) -> None:
    """Remember a cluster, if somebody wants to know."""
    if _started is not None:
        _started.append(cluster)


def forget_stopped() -> list[Cluster]:
    """Forget the clusters that were stopped; return those that a wider scope keeps running."""
    running = [it for it in _started or () if not it.is_stopped]
    if _started is not None:
        _started[:] = running
    return running


def of_test() -> list[Cluster]:
    """The clusters that ran at some time since `forget_stopped`, without those of the judge."""
    return [it for it in _started or () if not it.judging]
