"""Calls that block, in threads of their own."""

import asyncio
import sys
import threading

import pytest

from spark_jobs.sinks.threads import clean_up, in_thread


async def test_a_call_gives_its_result_or_its_error() -> None:
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_what_would_end_a_process_is_an_error_like_others() -> None:
    """A panic in a library of another language is no Exception in Python."""
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        await in_thread(lambda: sys.exit(3))


async def test_a_cancellation_cuts_the_call_and_sees_its_end() -> None:
    begun, cut, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        cut.wait(20)
        ended.set()

    waiting = asyncio.create_task(in_thread(call, cut=cut.set))
    await asyncio.to_thread(begun.wait, 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_cleaning_up_hides_no_other_error() -> None:
    await clean_up(lambda: 1 // 0)
