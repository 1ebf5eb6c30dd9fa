"""A machine that runs out of descriptors, ports or memory: waited out, or a record at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_relay_kit import relay
from deploy_relay_kit.harness.cluster import FakeCluster
from deploy_relay_kit.relay.errors import ExhaustedError, PeerError
from deploy_relay_kit.relay.limits import Limits
from deploy_relay_kit.relay.places import Places
from tests.relay.driving import deploy

ATTEMPTS = 60


@pytest.mark.parametrize("resources", [1, 3, 10, ATTEMPTS])
@pytest.mark.parametrize("places", [1, 7, ATTEMPTS])
def test_attempts_that_find_nothing_left_begin_again(places: int, resources: int) -> None:
    free, most = resources, 0

    async def attempt() -> str | ExhaustedError:
        nonlocal free, most
        await asyncio.sleep(0)
        if not free:
            return ExhaustedError.of("connect", errno.EMFILE)
        free -= 1
        most = max(most, resources - free)
        for _ in range(5):
            await asyncio.sleep(0)
        free += 1
        return "success"

    async def run() -> list[str | ExhaustedError]:
        shared = Places(places, Limits())
        return await asyncio.gather(*(shared.use(attempt) for _ in range(ATTEMPTS)))

    assert asyncio.run(run()) == ["success"] * ATTEMPTS
    assert most <= min(places, resources)


def test_nothing_left_for_long_is_a_failure() -> None:
    async def attempt() -> ExhaustedError:
        await asyncio.sleep(0)
        return ExhaustedError.of("connect", errno.EMFILE)

    async def run() -> list[ExhaustedError]:
        shared = Places(3, Limits(connect=0.2))
        return await asyncio.gather(*(shared.use(attempt) for _ in range(3)))

    for failure in asyncio.run(run()):
        assert "no file descriptor left" in failure.reason
        assert "ulimit -n" in failure.reason


def test_any_other_failure_is_returned_at_once() -> None:
    failure = PeerError("connect", "refused")

    async def attempt() -> PeerError:
        await asyncio.sleep(0)
        return failure

    assert asyncio.run(Places(1, Limits()).use(attempt)) is failure


@pytest.fixture
def no_descriptor() -> Iterator[list[int]]:
    """All descriptors are taken, until the list of the taken ones is closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1_000), hard))
    taken: list[int] = []
    yield taken
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_deploy_waits_for_a_descriptor(
    cluster: FakeCluster, package: Path, no_descriptor: list[int]
) -> None:
    """Another part of the program holds all of them when the deploy begins, and gives some back."""
    peer = cluster.peer()

    tries = 0

    class Taking:
        async def mint(self, context: relay.MintContext, /) -> str:
            nonlocal tries
            tries += 1
            if tries == 1:
                with contextlib.suppress(OSError):
                    while True:
                        no_descriptor.append(os.open(os.devnull, os.O_RDONLY))
                asyncio.get_running_loop().call_later(0.3, give_back)
            return await relay.OperationsMint(peer.username, peer.password).mint(context)

    def give_back() -> None:
        while no_descriptor:
            os.close(no_descriptor.pop())

    node = relay.Node(peer.name, peer.url, mint=Taking())
    [record] = deploy(cluster, package, [node]).records
    assert (record["status"], record.get("attempts")) == ("success", None), record
    assert tries > 1
