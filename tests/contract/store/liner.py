"""A process that writes a log line by line, says which line is stored, and never stops by itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.store.base import LogChunk, LogPoint
from spark_jobs.store.sql import SqlStore
from tests.contract.store.acts import Clock

KEY = AttemptKey("one", 1)


def line(number: int) -> bytes:
    """The line of this number."""
    return b"line %d of a log that is cut off\n" % number


async def main(folder: Path) -> None:
    """Write on and on."""
    store = SqlStore(folder, clock=Clock())
    await store.open()
    offset = number = 0
    while True:
        data = line(number)
        chunk = LogChunk(offset=offset, line=number, data=data, stamps=(number + 1,))
        offset, number = offset + len(data), number + 1
        await store.log_append(KEY, [chunk], LogPoint(bytes=offset, lines=number))
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
