"""Time limits, also of a process that was stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from deploy_relay_kit.relay.deadline import Deadline


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time can jump ahead, as it does while the process is stopped."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    async def jump(self, seconds: float) -> None:
        self.ahead += seconds
        for _ in range(10):  # turns, in which timers run
            await asyncio.sleep(0)


def run(work: Callable[[Clock], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Clock)
        runner.run(_awaited(work(loop)))


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def jumps(clock: Clock, *seconds: float) -> None:
    async with Deadline(60):
        for each in seconds:
            await clock.jump(each)


def test_a_limit_is_reached() -> None:
    async def work(clock: Clock) -> None:
        with pytest.raises(TimeoutError):
            await jumps(clock, 59.9, 0.2)
        await clock.jump(100)  # which has no consequence any more

    run(work)


def test_a_limit_that_is_started_again_begins_anew() -> None:
    async def work(clock: Clock) -> None:
        async with Deadline() as deadline:
            await clock.jump(1_000)  # it has not begun
            deadline.start(60)
            await clock.jump(59.9)
            deadline.start(60)
            await clock.jump(59.9)
            deadline.start(0.5)
            with pytest.raises(asyncio.CancelledError):
                await clock.jump(0.6)
            raise asyncio.CancelledError

    with pytest.raises(TimeoutError):
        run(work)


def test_a_limit_does_not_count_the_time_of_a_stopped_process() -> None:
    async def work(clock: Clock) -> None:
        await jumps(clock, 600, 59.9, 600, 59.9)
        with pytest.raises(TimeoutError):
            await jumps(clock, 600, 60.1)

    run(work)


def test_another_cancellation_is_no_timeout() -> None:
    async def work(_: Clock) -> None:
        async def waiting() -> None:
            async with Deadline(60):
                await asyncio.Event().wait()

        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(work)
