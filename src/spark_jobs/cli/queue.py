"""`spark queue`."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.drain import Drain
from spark_jobs.cli.failures import UsageError
from spark_jobs.cli.options import Format, Output
from spark_jobs.cli.output import NAME_WIDTH, cut, print_document, table
from spark_jobs.cli.screen import Screen
from spark_jobs.cli.session import seconds, with_client
from spark_jobs.cli.text import about, clean, short_span, span
from spark_jobs.client import Client, QueueStatus
from spark_jobs.domain.schedule import Waiting

COLUMNS = ("POSITION", "ID", "NAME", "PRIORITY", "AGE", "STARTS", "WHY")


class Action(enum.StrEnum):
    """What to do to the queue."""

    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"


@connected
def queue(
    action: Annotated[
        Action | None,
        typer.Argument(
            metavar="pause|resume|drain",
            help="pause: start no jobs from now on, those that run go on; resume: start jobs again; drain: pause, and "
            "wait until nothing runs.",
        ),
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="With drain: give up after this time (exit code 75)."),
    ] = None,
    output: Output = Format.TABLE,
    *,
    connection: Connection,
) -> None:
    """Show the queue and what waits in it, pause, resume or drain it. A pause outlives the server."""
    if timeout is not None and action is not Action.DRAIN:
        raise UsageError("--timeout goes with `spark queue drain` only")
    limit = None if timeout is None else seconds("--timeout", timeout)

    async def work(client: Client) -> int:
        code = 0
        if action is Action.DRAIN:
            status, code = await Drain(client, Screen(), await client.pause()).run(limit)
        else:
            status = await {None: client.queue, Action.PAUSE: client.pause, Action.RESUME: client.resume}[action]()
        if output in {Format.JSON, Format.YAML}:
            print_document(msgspec.to_builtins(status), output)
        else:
            print(_told(status, datetime.now(UTC)))
        return code

    with_client(connection, work)


def _told(status: QueueStatus, now: datetime) -> str:
    facts = [
        ("Queued", f"{status.depth} of {status.capacity}"),
        ("Waiting to retry", str(status.backoff)),
        ("Running", f"{status.running} of {status.slots}"),
        ("On lost nodes", f"{status.lost}, whose slots are held for now" if status.lost else ""),
        ("Oldest waits", "" if status.oldest_wait is None else f"for {span(status.oldest_wait)}"),
        ("Paused", "yes: `spark queue resume` starts jobs again" if status.paused else "no"),
    ]
    told = [f"{name + ':':<18}{text}" for name, text in facts if text]
    if status.waiting:
        told += ["", table([_row(each, now) for each in status.waiting], header=COLUMNS)]
        more = status.depth - len(status.waiting)
        told += [f"and {more} more"] if more > 0 else []
    return "\n".join(told)


def _row(waiting: Waiting, now: datetime) -> list[str]:
    start = waiting.estimated_start_at
    cells = [
        str(waiting.position),
        waiting.id,
        cut(waiting.name or "", NAME_WIDTH),
        str(waiting.priority),
        short_span((now - waiting.created_at).total_seconds()),
        "" if start is None else about((start - now).total_seconds()),
        waiting.why,
    ]
    return [clean(cell) for cell in cells]
