"""Profiles: how a peer of each kind answers when no fault is due. Pure.

They import `witness` and `faults`. Begin with `profile.py`, then read `strict.py`, the shortest.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

from deploy_relay_kit.harness.profiles.harper_5_1 import Harper51
from deploy_relay_kit.harness.profiles.pre_5_1 import Pre51
from deploy_relay_kit.harness.profiles.profile import Profile
from deploy_relay_kit.harness.profiles.strict import Strict

__all__ = ["PROFILES", "Harper51", "Profile", "ProfileName", "Strict"]

ProfileName = Literal["strict", "witness", "harper-5.1", "pre-5.1"]
PROFILES: dict[ProfileName, Callable[[], Profile]] = {
    "strict": Strict,
    "witness": partial(Strict, refuses=False),
    "harper-5.1": Harper51,
    "pre-5.1": Pre51,
}
"""Profiles by the name that `FakePeer` takes."""
