"""A process of its own that is killed after its first log was sent, before that is written down."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from spark_jobs.app.choose import sink_at
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.sinks.address import parse_address
from spark_jobs.store.base import Unsent
from spark_jobs.store.sql import SqlStore
from tests.engine.bench import PATIENCE, bench

LINES = ("one", "two")


class Dying(SqlStore):
    """A store that does not live to mark what was sent."""

    async def archived(self, unsent: Unsent, to: str) -> bool:
        os.kill(os.getpid(), signal.SIGKILL)
        return await super().archived(unsent, to)


async def main(folder: Path, url: str) -> None:
    """Run a job named ``job`` and send its log."""
    cluster = FakeCluster(lambda _spec: Script(lines=LINES))
    async with bench(folder, cluster, kind=Dying, sink=sink_at(parse_address(url))) as on:
        await on.submit(id="job")
        with on.core.bus.subscribe("nothing") as never:
            await never.wait(PATIENCE)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
