"""The one limiter before every request to Kubernetes (invariant 8). In virtual time."""

from __future__ import annotations

import asyncio

import pytest

from spark_jobs.cluster.kubernetes.limiter import Limiter, Priority

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_burst_passes_at_once_and_then_the_rate_holds() -> None:
    limiter = Limiter(10, 5)
    began = now()
    for _ in range(5):
        await limiter.acquire(Priority.CREATE)
    assert now() - began == pytest.approx(0, abs=0.01)
    for _ in range(20):
        await limiter.acquire(Priority.CREATE)
    assert now() - began == pytest.approx(2.0, abs=0.05)


async def test_idle_time_fills_up_to_the_burst_only() -> None:
    limiter = Limiter(10, 5)
    await limiter.acquire(Priority.CREATE)
    await asyncio.sleep(100)
    began = now()
    for _ in range(6):
        await limiter.acquire(Priority.CREATE)
    assert now() - began == pytest.approx(0.1, abs=0.01)


async def test_classes_go_in_order_and_within_a_class_the_first_goes_first() -> None:
    limiter = Limiter(10, 1)
    await limiter.acquire(Priority.STOP)
    order: list[str] = []

    async def ask(name: str, priority: Priority) -> None:
        await limiter.acquire(priority)
        order.append(name)

    asked = [("clean", 5), ("follow", 4), ("final", 3), ("create 1", 2), ("create 2", 2), ("watch", 1), ("stop", 0)]
    await asyncio.gather(*(ask(name, Priority(number)) for name, number in asked))
    assert order == ["stop", "watch", "create 1", "create 2", "final", "follow", "clean"]


async def test_retry_after_holds_everything_back() -> None:
    limiter = Limiter(1000, 1000)
    began = now()
    limiter.pause(2)
    limiter.pause(1)
    await limiter.acquire(Priority.STOP)
    assert now() - began == pytest.approx(2, abs=0.01)


async def test_who_already_waits_is_held_back_too() -> None:
    limiter = Limiter(10, 1)
    await limiter.acquire(Priority.STOP)
    began = now()
    waiting = asyncio.create_task(limiter.acquire(Priority.STOP))
    await asyncio.sleep(0)
    limiter.pause(5)
    await waiting
    assert now() - began == pytest.approx(5, abs=0.01)


async def test_no_limit_lets_everything_through_but_obeys_retry_after() -> None:
    limiter = Limiter(0, 1)
    began = now()
    for _ in range(1000):
        await limiter.acquire(Priority.CLEAN)
    assert now() == began
    limiter.pause(3)
    await limiter.acquire(Priority.CLEAN)
    assert now() - began == pytest.approx(3, abs=0.01)


async def test_who_is_cancelled_takes_no_token() -> None:
    limiter = Limiter(10, 1)
    await limiter.acquire(Priority.STOP)
    began = now()
    waiting = [asyncio.create_task(limiter.acquire(Priority.STOP)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await limiter.acquire(Priority.CLEAN)
    assert now() - began == pytest.approx(0.1, abs=0.01)


async def test_who_is_cancelled_in_the_instant_of_its_turn_gives_the_token_back() -> None:
    limiter = Limiter(1, 1)
    await limiter.acquire(Priority.STOP)
    mine = asyncio.create_task(limiter.acquire(Priority.STOP))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(1.0001, mine.cancel)
    await asyncio.gather(mine, return_exceptions=True)
    began = now()
    await limiter.acquire(Priority.STOP)
    assert now() - began < 0.5


async def test_waits_are_measured() -> None:
    waits: list[float] = []
    limiter = Limiter(2, 1, waited=waits.append)
    await limiter.acquire(Priority.STOP)
    await limiter.acquire(Priority.STOP)
    assert waits == pytest.approx([0, 0.5], abs=0.01)
