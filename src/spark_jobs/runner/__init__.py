"""The library: :class:`Runner` runs containers from a Python program, with queue, engine and store inside of it."""

from spark_jobs.domain.errors import MissingExtra

try:
    from spark_jobs.runner.handle import Handle
    from spark_jobs.runner.runner import Runner
    from spark_jobs.runner.task import Task
except ModuleNotFoundError as error:
    if (error.name or "spark_jobs").partition(".")[0] == "spark_jobs":
        raise
    text = (
        f"Runner needs the packages of the server, of which {error.name} is missing: pip install 'spark-jobs[server]'"
    )
    raise MissingExtra(text) from error

__all__ = ["Handle", "Runner", "Task"]
