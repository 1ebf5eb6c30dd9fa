"""Something that happens beside a deploy, at a moment that a peer witnesses."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.peer import FakePeer

_SECONDS = 10.0


def a_request_has_come(peer: FakePeer) -> bool:
    return any(seen.requests for seen in peer.live_connections)


def the_file_has_begun(peer: FakePeer) -> bool:
    return any("file" in upload.times for upload in peer.live_uploads)


@contextlib.contextmanager
def as_soon_as(
    condition: Callable[[FakePeer], bool], peer: FakePeer, act: Callable[[], object]
) -> Iterator[None]:
    """Act in another thread when the condition holds of the peer; not at all if it never does.

    What it raises is raised when the block ends.
    """
    raised: list[BaseException] = []

    def watch() -> None:
        try:
            with contextlib.suppress(TimeoutError):  # whoever waits for it sees that it did not
                peer.wait_until(condition, _SECONDS)
                act()
        except BaseException as error:  # noqa: BLE001  raised again below
            raised.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        watcher.join()
    if raised:
        raise raised[0]
