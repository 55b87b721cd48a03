"""`spark version`."""

from __future__ import annotations


def version() -> None:
    """Print the version of this program."""
    import spark_jobs

    print(f"spark-jobs {spark_jobs.__version__}")
