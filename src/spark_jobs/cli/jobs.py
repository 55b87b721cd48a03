"""`spark list`, `spark get` and `spark describe`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from spark_jobs.cli.attend import patient
from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.describe import description
from spark_jobs.cli.options import Format, JobReference, JobReferences, Output
from spark_jobs.cli.output import COLUMNS, WIDE_COLUMNS, item_plain, job_plain, print_document, print_jobs, row, table
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import with_client
from spark_jobs.client import Client, JobQuery
from spark_jobs.client.client import RECONNECT_TIMEOUT
from spark_jobs.domain.errors import SparkError
from spark_jobs.domain.job import Job

WATCH_EVERY = 1.0
# Room for what comes later: a watched table is printed line by line.
_WATCH_WIDTHS = (25, 20, 9, 16, 4, 5, 8)

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on and print a line whenever a job changes.")]


@connected
def list_jobs(
    output: Output = Format.TABLE,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", "-l", metavar="KEY[=VALUE]", help="Only with this label (repeatable: all of them)."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only in these states; also active, finished (repeatable, or by commas)."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only with this name.")] = None,
    name_prefix: Annotated[str | None, typer.Option("--name-prefix", help="Only with names that begin so.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only created since this time, or this long ago: 2h.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only created until this time, or this long ago.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="At most so many.")] = 20,
    watch: Watch = False,
    *,
    connection: Connection,
) -> None:
    """List jobs, newest first."""
    query = JobQuery(
        states=state or (), labels=label or (), name=name, name_prefix=name_prefix, since=since, until=until
    )

    async def read(client: Client) -> list[Job]:
        return [job async for job in client.list(query, limit=limit)]

    async def work(client: Client) -> int:
        if watch:
            await _watch(lambda: read(client), output, item_plain, until_over=False)
        jobs = await read(client)
        if output in {Format.JSON, Format.YAML}:
            print_document({"jobs": [item_plain(job) for job in jobs]}, output)
        else:
            print_jobs(jobs, output)
        return 0

    with_client(connection, work)


@connected
def get(
    jobs: JobReferences,
    output: Output = Format.TABLE,
    watch: Watch = False,
    *,
    connection: Connection,
) -> None:
    """Show jobs: a line each, or whole with -o json or -o yaml."""

    async def work(client: Client) -> int:
        ids = [await client.resolve(reference) for reference in jobs]

        async def read() -> list[Job]:
            return [await client.get(job_id) for job_id in ids]

        if watch:
            await _watch(read, output, job_plain, until_over=True)
            return 0
        found = await read()
        if output in {Format.JSON, Format.YAML}:
            plain = [job_plain(job) for job in found]
            print_document(plain[0] if len(jobs) == 1 else {"jobs": plain}, output)
        else:
            print_jobs(found, output)
        return 0

    with_client(connection, work)


@connected
def describe(job: JobReference, *, connection: Connection) -> None:
    """Tell all about one job."""

    async def work(client: Client) -> int:
        print(description(await client.get(await client.resolve(job)), datetime.now(UTC)))
        return 0

    with_client(connection, work)


async def _watch(
    read: Callable[[], Awaitable[Sequence[Job]]],
    output: Format,
    plain: Callable[[Job], dict[str, Any]],
    *,
    until_over: bool,
) -> None:
    """Print every job, and again whenever one has changed; without end, or until all are over."""
    contact = patient(Screen(), RECONNECT_TIMEOUT)
    seen: dict[str, tuple[object, ...]] = {}
    show = _Lines(output, plain)
    while True:
        try:
            jobs = await read()
        except SparkError as error:
            await contact.lost(error)
            continue
        contact.kept()
        for job in reversed(jobs):
            mark = (job.state, job.reason, job.exit_code, job.cancel_requested_at, len(job.attempts))
            if seen.get(job.id) != mark:
                seen[job.id] = mark
                show.job(job)
        if until_over and all(job.state.is_terminal for job in jobs):
            return
        await asyncio.sleep(WATCH_EVERY)


class _Lines:
    """Prints one job at a time."""

    def __init__(self, output: Format, plain: Callable[[Job], dict[str, Any]]) -> None:
        self._output = output
        self._plain = plain
        if output in {Format.TABLE, Format.WIDE}:
            self._print(WIDE_COLUMNS if output is Format.WIDE else COLUMNS)

    def job(self, job: Job) -> None:
        """Print the job as it is now."""
        if self._output is Format.NAME:
            print(job.id, flush=True)
        elif self._output is Format.JSON:
            print_document(self._plain(job), self._output)
        elif self._output is Format.YAML:
            print("---")
            print_document(self._plain(job), self._output)
        else:
            self._print(row(job, datetime.now(UTC), wide=self._output is Format.WIDE))

    def _print(self, cells: Sequence[str]) -> None:
        padded = [cell.ljust(width) for cell, width in zip(cells, _WATCH_WIDTHS, strict=False)]
        print(table([], header=[*padded, *cells[len(padded) :]]), flush=True)
