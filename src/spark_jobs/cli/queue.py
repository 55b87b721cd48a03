"""`spark queue`."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec
import typer

from spark_jobs.cli.connection import Connection, connected
from spark_jobs.cli.options import Format, Output
from spark_jobs.cli.output import print_document
from spark_jobs.cli.session import with_client
from spark_jobs.cli.text import span
from spark_jobs.client import Client, QueueStatus


class Action(enum.StrEnum):
    """What to do to the queue."""

    PAUSE = "pause"
    RESUME = "resume"


@connected
def queue(
    action: Annotated[
        Action | None,
        typer.Argument(help="pause: start no jobs from now on, those that run go on; resume: start jobs again."),
    ] = None,
    output: Output = Format.TABLE,
    *,
    connection: Connection,
) -> None:
    """Show the queue, pause it or resume it. A pause outlives the server."""

    async def work(client: Client) -> int:
        ask = {None: client.queue, Action.PAUSE: client.pause, Action.RESUME: client.resume}[action]
        status = await ask()
        if output in {Format.JSON, Format.YAML}:
            print_document(msgspec.to_builtins(status), output)
        else:
            print(_told(status))
        return 0

    with_client(connection, work)


def _told(status: QueueStatus) -> str:
    facts = [
        ("Queued", f"{status.depth} of {status.capacity}"),
        ("Waiting to retry", str(status.backoff)),
        ("Running", f"{status.running} of {status.slots}"),
        ("Oldest waits", "" if status.oldest_wait is None else f"for {span(status.oldest_wait)}"),
        ("Paused", "yes: `spark queue resume` starts jobs again" if status.paused else "no"),
    ]
    return "\n".join(f"{name + ':':<18}{text}" for name, text in facts if text)
