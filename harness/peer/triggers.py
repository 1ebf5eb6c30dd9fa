"""What happens to a deploy, or beside it, at a moment that a peer witnesses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from harness.peer.peer import FakePeer

_T = TypeVar("_T")

_SECONDS = 10.0
_SOONER_OR_LATER = (0.2, 1.0, 4.0)  # seconds


def a_connection_has_come(peer: FakePeer) -> bool:
    return bool(peer.live_connections)


def a_request_has_come(peer: FakePeer) -> bool:
    return any(seen.requests for seen in peer.live_connections)


def an_upload_has_come(peer: FakePeer) -> bool:
    return bool(peer.live_uploads)


def the_file_has_begun(peer: FakePeer) -> bool:
    return any("file" in upload.times for upload in peer.live_uploads)


def give_up(deploy: Callable[[float], _T], has_come: Callable[[_T], bool]) -> _T:
    """Give deploys up, each later than the last, until one had come so far; return what it gave.

    How long a relay takes to begin is its own affair.

    Args:
        deploy: deploys to peers of its own, and gives that up after so many seconds.
        has_come: whether it had come far enough, of what `deploy` returned.

    Raises:
        AssertionError: none had, not even after seconds.

    """
    for after in _SOONER_OR_LATER:
        given_up = deploy(after)
        if has_come(given_up):
            return given_up
    raise AssertionError(f"{after:g} s after it was told to deploy, the relay had not come so far")


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
