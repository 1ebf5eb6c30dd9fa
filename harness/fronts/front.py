"""What every front is: a path prefix at which a peer is reached through something else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from harness.peer.peer import FakePeer

_NOT_IN_A_PREFIX = set('"\\$\r\n')


class Front(ABC):
    """Serves `https://…/prefix/rest` from a peer's `/rest`, and nothing else; a context manager.

    Attributes:
        peer: the peer behind it.
        name, username, password: those of the peer.

    """

    def __init__(self, peer: FakePeer, prefix: str) -> None:
        """Stand before a peer; `prefix` like `/ops`.

        Raises:
            ValueError: the prefix is none.

        """
        if not prefix.startswith("/") or prefix.endswith("/") or set(prefix) & _NOT_IN_A_PREFIX:
            raise ValueError(f"prefix {prefix!r}: give a path that begins but does not end with /")
        self.name, self.username, self.password = peer.name, peer.username, peer.password
        self.peer = peer
        self._prefix = prefix
        self._port = 0

    @property
    def url(self) -> str:
        """Where the peer's operations API is, seen from outside."""
        return f"https://127.0.0.1:{self._port}{self._prefix}{self.peer.path}"

    @abstractmethod
    def start(self) -> Self: ...

    @abstractmethod
    def stop(self) -> None: ...

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name} {self.url}>"
