"""Spark runs containers as Kubernetes Jobs and keeps track of them."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the names are, for those who check types; nothing is imported when a program runs
    from spark_jobs.client import Client, JobQuery, LogOptions, SearchOptions
    from spark_jobs.domain.errors import QueueFull, SparkError
    from spark_jobs.domain.job import Job, JobCancelled, JobEvent, JobFailed, JobTimedOut
    from spark_jobs.domain.search import LogMatch
    from spark_jobs.domain.spec import JobSpec
    from spark_jobs.domain.state import JobState
    from spark_jobs.runner import Handle, Runner, Task

__all__ = [
    "Client",
    "Handle",
    "Job",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobQuery",
    "JobSpec",
    "JobState",
    "JobTimedOut",
    "LogMatch",
    "LogOptions",
    "QueueFull",
    "Runner",
    "SearchOptions",
    "SparkError",
    "Task",
    "__version__",
]

# Public name -> module that defines it. Resolved at first use, so that `import spark_jobs` costs nothing.
_EXPORTS = {
    "Client": "spark_jobs.client",
    "Handle": "spark_jobs.runner",
    "Job": "spark_jobs.domain.job",
    "JobCancelled": "spark_jobs.domain.job",
    "JobEvent": "spark_jobs.domain.job",
    "JobFailed": "spark_jobs.domain.job",
    "JobQuery": "spark_jobs.client",
    "JobSpec": "spark_jobs.domain.spec",
    "JobState": "spark_jobs.domain.state",
    "JobTimedOut": "spark_jobs.domain.job",
    "LogMatch": "spark_jobs.domain.search",
    "LogOptions": "spark_jobs.client",
    "QueueFull": "spark_jobs.domain.errors",
    "Runner": "spark_jobs.runner",
    "SearchOptions": "spark_jobs.client",
    "SparkError": "spark_jobs.domain.errors",
    "Task": "spark_jobs.runner",
}


def __getattr__(name: str) -> object:
    """Resolve the version and the public names at first use (PEP 562)."""
    if name == "__version__":
        from importlib import metadata  # noqa: PLC0415 - takes 45 ms, which `spark --help` need not wait for

        return metadata.version("spark-jobs")
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
