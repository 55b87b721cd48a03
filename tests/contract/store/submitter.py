"""A process of its own that submits jobs for ever and prints each id once it is acknowledged: made to be killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from spark_jobs.store.base import QueueBound
from spark_jobs.store.sql import SqlStore
from tests.contract.store.acts import Clock, new_job

WRITERS = 8


async def main(folder: Path) -> None:
    """Submit from several tasks at once, so that commits carry groups."""
    store = SqlStore(folder, clock=Clock())
    await store.open()
    await asyncio.gather(*(_submit(store, writer) for writer in range(WRITERS)))


async def _submit(store: SqlStore, writer: int) -> None:
    number = 0
    while True:
        (submitted,) = await store.submit(
            [new_job(f"job-{writer}-{number}", labels={"writer": str(writer)})], QueueBound(queue_size=10**6, slots=0)
        )
        os.write(1, f"{submitted.job.id}\n".encode())
        number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
