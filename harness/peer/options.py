"""What a peer is started with, beside its certificate, its name and its faults."""

from collections.abc import Sequence
from typing import TypedDict

from deploy_relay_kit.harness.faults.checks import (
    check_each,
    check_filled,
    check_int,
    check_none,
    check_number,
    check_text,
)
from deploy_relay_kit.harness.profiles import PROFILES, ProfileName

_OPTIONAL_TEXT = check_none | check_filled
_LENGTHS = check_each(check_int(0), "a list of integers of 0 or more")


class Login(TypedDict):
    """User name and password of a node, for several nodes that share them: `peer(**login)`."""

    username: str
    password: str


class PeerOptions(TypedDict, total=False):
    """Arguments of `FakePeer` that `FakeCluster.peer` passes on."""

    path: str
    profile: ProfileName
    username: str | None
    password: str | None
    host: str
    timeout: float
    mark_offsets: Sequence[int]


def check_options(
    *,
    path: str,
    profile: ProfileName,
    username: str | None,
    password: str | None,
    timeout: float,
    mark_offsets: Sequence[int],
) -> None:
    """Raise ValueError for an option that makes no sense; a password is not shown."""
    if profile not in [*PROFILES]:  # also a list, which has no hash
        raise ValueError(f"profile {profile!r}: give one of {', '.join(PROFILES)}")
    check_text.validate("path", path)
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(f"path {path!r}: begin it with /, and use printable characters")
    _OPTIONAL_TEXT.validate("username", username)
    if not _OPTIONAL_TEXT.allows(password):
        kind = "an empty text" if password == "" else type(password).__name__
        raise ValueError(f"password must be {_OPTIONAL_TEXT.allowed}, not {kind}")
    check_number(above=0).validate("timeout", timeout)
    _LENGTHS.validate("mark_offsets", mark_offsets)
