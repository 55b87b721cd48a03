"""`spark run --standalone`: no server, but a Runner in this process, which leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import typer

from spark_jobs.cli.attend import OnInterrupt
from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.flags import Flag
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.serve import need_server, setting_flag
from spark_jobs.cli.session import Opens
from spark_jobs.client import Client
from spark_jobs.config import TABLE, Settings, load

PANEL = "Without a server"
_CLUSTER_SETTINGS = ("cluster", "kubeconfig", "context")
STANDALONE_FLAGS = (
    Flag(
        "standalone",
        ("--standalone",),
        bool,
        "Run the job from this process; an interrupt cancels it, and nothing is left in the cluster.",
        PANEL,
        default=False,
    ),
    *(setting_flag(TABLE[name])._replace(panel=PANEL) for name in _CLUSTER_SETTINGS),
)
_OF_A_SERVER = {"server": "--server", "mode": "--mode", "token_file": "--token-file", "detach": "--detach"}


def standalone(flags: Mapping[str, Any], spec: Mapping[str, object]) -> Opens | None:
    """What opens a client of a Runner for this job; null where a server is meant. Raises UsageError, SettingError."""
    chosen = {name: flags[name] for name in _CLUSTER_SETTINGS}
    if not flags["standalone"]:
        for name, value in chosen.items():
            if value is not None:
                raise UsageError(f"--{name} goes with --standalone; a server has a cluster of its own")
        return None
    for name, flag in _OF_A_SERVER.items():
        if flags[name]:
            raise UsageError(f"{flag} needs a server, and there is none with --standalone: leave out one of them")
    if flags["on_interrupt"] is OnInterrupt.DETACH:
        raise UsageError("--on-interrupt detach: with --standalone there is nobody to go on with the job")
    need_server("run --standalone")
    if spec.get("namespace") is not None:
        chosen["namespace"] = [spec["namespace"]]
    return partial(_running, load(chosen, os.environ), Screen(quiet=flags["quiet"]))


@asynccontextmanager
async def _running(settings: Settings, screen: Screen) -> AsyncIterator[Client]:
    from spark_jobs.runner import Runner

    runner = Runner.with_settings(settings)
    with _warnings_on(screen), _signals_that_cancel():
        async with runner:
            yield runner.client
            if runner.unfinished:
                # An impatient second interrupt: the cancel was sent, and the limits in the cluster are the net.
                await runner.abandon()
                screen.say("left before it had stopped: if it does not stop now, its time limit in the cluster ends it")
        if runner.left:
            screen.say(f"the cluster still holds {', '.join(runner.left)}, and deletes it within a day")


@contextmanager
def _warnings_on(screen: Screen) -> Iterator[None]:
    """Tell what the engine has to say, such as that the cluster does not answer; each thing once."""
    logger, handler = logging.getLogger("spark_jobs"), _Once(screen)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Once(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, unless it was told before."""
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            self._screen.note(text)


@contextmanager
def _signals_that_cancel() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command as Ctrl-C does, before and after the job is attended to: by a cancellation."""
    loop = asyncio.get_running_loop()
    tasks = [task for task in [asyncio.current_task()] if task is not None]
    received: list[int] = []

    def cancel(number: int, _frame: object) -> None:
        received.append(number)
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except asyncio.CancelledError:
        if received:
            raise typer.Exit(128 + received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
