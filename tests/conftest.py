"""How the kit's own tests run: on how many workers, with how large a payload, on which cluster."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has none

from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.harness.fronts.tinyproxy import Tinyproxy
from tests.programs import PROXY_PASSWORD, installed

# The gate, and users who judge a relay, run the cases with a gigabyte.
os.environ.setdefault("RELAY_HARNESS_HUGE_MB", "64")

# Dozens of processes start here, and each would compile the kit anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Each process that imports aiohttp reads the system's authorities twice. Only a live Harper's
# certificate may be from one of them.
if "RELAY_HARPER_URL" not in os.environ:
    os.environ["SSL_CERT_FILE"] = os.devnull


# A slow machine fails no test. A gate tries the same examples each time, so that it is red only for
# the change it looks at; each run on a developer's machine tries others.
hypothesis.settings.register_profile("kit", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("kit")

# A proxy of this machine changes no test.
for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
    os.environ.pop(variable, None)
    os.environ.pop(variable.lower(), None)


@pytest.fixture
def cluster(fake_cluster: FakeCluster) -> FakeCluster:
    """The fixture for users; the conformance cases have another one."""
    return fake_cluster


@pytest.fixture
def tinyproxy() -> Iterator[Tinyproxy]:
    """A proxy that opens every tunnel."""
    with installed(Tinyproxy)() as proxy:
        yield proxy


@pytest.fixture
def guarded_proxy() -> Iterator[Tinyproxy]:
    """A proxy that opens a tunnel only for the user `origin` with `PROXY_PASSWORD`."""
    with installed(Tinyproxy)(f"BasicAuth origin {PROXY_PASSWORD}") as proxy:
        yield proxy


_ENVIRONMENT = ("extras", "installed", "matrix", "publishing", "tutorials", "types")
_CLUSTER = (
    "config",
    "intake",
    "kills",
    "large",
    "record",
    "security",
    "serve",
    "sockets",
    "versions",
    "via",
)
SHARING = {
    "interop/test_harperdb.py": "a HarperDB",
    "interop/test_harperdb_bytes.py": "a HarperDB",
    **{f"harness/test_{name}.py": "an environment" for name in _ENVIRONMENT},
    **{f"origin/test_{name}.py": f"the cluster of {name}" for name in _CLUSTER},
}
"""Test files whose tests share what takes seconds to make."""


class Sharing(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker test after test; one worker gets all that share what takes long to make.

    The groups of xdist 3.8 do nothing with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].removeprefix("tests/")
        return SHARING.get(file, nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Sharing:
    return Sharing(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle them alike for all workers: tests that wait run beside tests that compute."""
    if hasattr(config, "workerinput"):
        random.Random(0).shuffle(items)


# In the background, for example under nohup, signals are ignored, and child processes inherit this.
# Some tests interrupt child processes. A handler, unlike SIG_IGN, is not inherited.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
