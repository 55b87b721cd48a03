"""The loop that hurries: waiting is short, work is not, and time does not stand still or go back."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fakes.hurry import hurried


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


def test_a_test_that_fails_in_it_fails() -> None:
    @hurried()
    async def failing() -> None:
        await asyncio.sleep(1)
        pytest.fail("as it should")

    with pytest.raises(pytest.fail.Exception, match="as it should"):
        failing()
