"""One look at a time for each key; a failing key harms no other. In virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from spark_jobs.domain.errors import ClusterUnavailable
from spark_jobs.engine.work import WorkQueue

pytestmark = pytest.mark.looptime


class Looks:
    """Counts looks, and does what the test says during one."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.at: list[float] = []
        self.crashes = 0
        self.queue = WorkQueue(self.look, crashed=self.crashed)
        self.errors: dict[str, Exception] = {}
        self.delay: float | None = None
        self.takes = 0.0

    def crashed(self) -> None:
        self.crashes += 1

    async def look(self, key: str) -> float | None:
        self.count[key] += 1
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if key in self.errors:
            raise self.errors[key]
        return self.delay


async def test_a_key_added_during_its_look_is_looked_at_once_more() -> None:
    looks = Looks()
    looks.takes = 1.0
    looks.queue.add("a")
    await asyncio.sleep(0.5)
    for _ in range(5):
        looks.queue.add("a")
    await asyncio.sleep(10)
    assert looks.count["a"] == 2
    await looks.queue.close()


async def test_a_look_may_ask_for_another_one_later() -> None:
    looks = Looks()
    looks.delay = 7.0
    looks.queue.add("a")
    await asyncio.sleep(15)
    assert looks.at == pytest.approx([0, 7, 14])
    looks.queue.forget("a")
    await asyncio.sleep(30)
    assert looks.count["a"] == 3
    await looks.queue.close()


async def test_a_crash_is_counted_and_tried_again_ever_more_slowly() -> None:
    looks = Looks()
    looks.errors["a"] = ValueError("a fault")
    looks.queue.add("a")
    looks.queue.add("b")
    await asyncio.sleep(8)
    assert looks.count == {"a": 4, "b": 1}
    assert looks.crashes == 4
    await looks.queue.close()


async def test_a_cluster_that_is_away_is_no_crash_and_names_the_time_to_come_back() -> None:
    looks = Looks()
    looks.errors["a"] = ClusterUnavailable("429", retry_after=2.0)
    looks.queue.add("a")
    await asyncio.sleep(5)
    assert looks.at == pytest.approx([0, 2, 4])
    assert looks.crashes == 0
    await looks.queue.close()


async def test_closing_cancels_what_is_under_way_and_starts_nothing_more() -> None:
    looks = Looks()
    looks.takes = 100.0
    looks.queue.add("a")
    await asyncio.sleep(1)
    await looks.queue.close()
    looks.queue.add("b")
    await asyncio.sleep(1)
    assert looks.count == {"a": 1}
