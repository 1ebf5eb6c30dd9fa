"""The clock of every witness and of every deadline of a peer.

It is `time.monotonic`, asked of the system: a test that freezes the clock of Python (freezegun,
time-machine) keeps timelines and deadlines that advance.
"""

import time

# macOS: the clock that `time.monotonic` reads there
_CLOCK: int = getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC)


def milliseconds(begin: float, at: float) -> float:
    """The milliseconds from `begin` to `at`, as all texts and drawings show them."""
    return round((at - begin) * 1000, 3)


def now() -> float:
    """Seconds since an arbitrary moment; comparable with `time.monotonic`."""
    return time.clock_gettime(_CLOCK)
