"""Task: the original library's way to describe a job and to see what becomes of it, kept current while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from spark_jobs.domain.job import Job


@dataclass(eq=False, kw_only=True)
class Task:
    """A container to run: its image, its command (a list of words), a time limit in seconds, an id if it shall have one.

    Once a Runner has it, the other fields tell what becomes of it: ``status`` is PENDING, RUNNING, SUCCEEDED, FAILED,
    TIMEOUT or CANCELLED, null before; the times are UTC. ``logs`` is filled at the end, before ``status`` says that it is
    over: the last 3.5 MiB of the last attempt's output. ``taken``: a Runner has it, and no other one will take it.
    """

    id: str | None = None
    command: Sequence[str] | None = None
    image: str | None = None
    timeout: float | str | None = None
    status: str | None = field(default=None, init=False)
    logs: str = field(default="", init=False)
    created_at: datetime | None = field(default=None, init=False)
    started_at: datetime | None = field(default=None, init=False)
    completed_at: datetime | None = field(default=None, init=False)
    taken: bool = field(default=False, init=False, repr=False)

    def spec(self) -> dict[str, object]:
        """The job that it describes, as plain objects."""
        given = {"id": self.id, "image": self.image, "command": self.command, "timeout": self.timeout}
        return {name: value for name, value in given.items() if value is not None}

    def show(self, job: Job, status: str) -> None:
        """Take over what is known of the job now."""
        self.created_at = job.created_at
        self.started_at = job.started_at
        self.completed_at = job.finished_at
        self.status = status
