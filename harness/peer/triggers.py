"""Acts at a moment that a peer witnesses: a deploy is cancelled, a payload is changed."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from deploy_relay_kit.harness.errors import Unseen
from deploy_relay_kit.harness.peer.peer import FakePeer

_T = TypeVar("_T")

_DEADLINE = 10.0  # seconds
_CANCEL_AFTER = (0.2, 1.0, 4.0)  # seconds


def has_connection(peer: FakePeer) -> bool:
    return bool(peer.live_connections)


def has_request(peer: FakePeer) -> bool:
    return any(seen.requests for seen in peer.live_connections)


def has_upload(peer: FakePeer) -> bool:
    return bool(peer.live_uploads)


def has_file_part(peer: FakePeer) -> bool:
    """Whether the file part of an upload has begun."""
    return any("file" in upload.times for upload in peer.live_uploads)


def cancel_deploy(deploy: Callable[[float], _T], is_far_enough: Callable[[_T], bool]) -> _T:
    """Cancel deploys, each later than the last, until one has got far enough; return its result.

    A relay may take its time to begin.

    Args:
        deploy: deploys to new peers, and cancels the deploy after so many seconds.
        is_far_enough: called with the result of `deploy`.

    Raises:
        Unseen: no deploy got far enough.
    """
    for after in _CANCEL_AFTER:
        result = deploy(after)
        if is_far_enough(result):
            return result
    raise Unseen(f"the relay did not get far enough within {after:g} s of its deploy")


@contextlib.contextmanager
def act_when(
    condition: Callable[[FakePeer], bool], peer: FakePeer, act: Callable[[], object]
) -> Iterator[None]:
    """While the block runs, act in another thread as soon as the condition holds of the peer.

    If it never holds, nothing is done. An error of `act` is raised at the end of the block.
    """

    def watch() -> None:
        with contextlib.suppress(TimeoutError):
            peer.wait_until(condition, _DEADLINE)
            act()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        yield
    watching.result()
