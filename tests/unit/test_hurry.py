"""The loop that hurries: waiting is short, work is not, and time does not stand still or go back."""

from __future__ import annotations

import asyncio
import time

import pytest

from spark_jobs.store.sql.sqlite import connect_writer
from spark_jobs.store.sql.writer import Listeners, ThreadWriter
from tests.fakes.hurry import hurried
from tests.fakes.passing import stand_by


@hurried(100)
async def test_waiting_is_short_on_the_wall_and_long_in_the_loop() -> None:
    loop = asyncio.get_running_loop()
    began, real = loop.time(), time.monotonic()
    await asyncio.sleep(20)
    assert 20 <= loop.time() - began < 60
    assert time.monotonic() - real < 10


@hurried(1000)
async def test_work_takes_as_long_as_it_takes() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        pass
    assert loop.time() - began < 10


@hurried(1000)
async def test_work_in_threads_takes_as_long_as_it_takes() -> None:
    loop = asyncio.get_running_loop()
    writer = ThreadWriter(connect_writer(None), Listeners(), "test")
    began = loop.time()
    await asyncio.to_thread(stand_by, 0.05)
    assert 0.05 <= loop.time() - began < 10
    began = loop.time()
    await writer.write(lambda _: stand_by(0.05))
    assert 0.05 <= loop.time() - began < 10
    await writer.close()
    began, real = loop.time(), time.monotonic()
    await asyncio.sleep(300)
    assert loop.time() - began >= 300
    assert time.monotonic() - real < 100, "what is done holds nothing up"


@hurried(1000)
async def test_a_machine_that_wakes_it_late_makes_it_no_later() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(20):
        await asyncio.sleep(0.1)  # a tenth of a millisecond, and the system counts in whole ones
    assert 2 <= loop.time() - began < 10


def test_a_test_that_fails_in_it_fails() -> None:
    @hurried()
    async def failing() -> None:
        await asyncio.sleep(1)
        pytest.fail("as it should")

    with pytest.raises(pytest.fail.Exception, match="as it should"):
        failing()
