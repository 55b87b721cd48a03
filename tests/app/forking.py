"""Starts many programs beside a gRPC server that answers, in the server's own event loop; prints the exit codes seen."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop

from spark_jobs.app.grpc_server import grpc_bound
from spark_jobs.auth import Access
from spark_jobs.config import Settings

PROGRAMS = 150


async def _ask(port: int, done: asyncio.Event) -> None:
    import grpc.aio

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask: Any = channel.unary_unary("/spark.v1.JobService/GetQueue")
        while not done.is_set():
            await ask(b"")


async def _start_programs(done: asyncio.Event) -> set[int]:
    codes = set()
    for _ in range(PROGRAMS):
        program = await asyncio.create_subprocess_exec("true")
        codes.add(await program.wait())
    done.set()
    return codes


async def _main() -> set[int]:
    async with grpc_bound(Settings(grpc_port=0), Access()) as grpc:
        # From here on, since what it imports may bring in gRPC, too.
        from tests.api.conftest import in_memory

        assert grpc.port is not None
        async with in_memory() as bench:
            await grpc.start(bench.core)
            done = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                for _ in range(4):
                    tasks.create_task(_ask(grpc.port, done))
                starting = tasks.create_task(_start_programs(done))
    return starting.result()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(sorted(runner.run(_main())))
