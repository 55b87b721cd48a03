"""What requests of every interface must keep to: ids, keys, sizes of batches."""

from __future__ import annotations

from spark_jobs.domain.errors import Fault, InvalidSpec, JobNotFound
from spark_jobs.domain.fields import shown
from spark_jobs.domain.ids import is_job_id

LARGEST_BATCH = 1000
_LONGEST_KEY = 255


def checked_job_id(text: str) -> str:
    """The text, if it can be a job's id at all. Raises JobNotFound."""
    if not is_job_id(text):
        raise JobNotFound(f"there is no job `{shown(text)}`: this can't be a job's id")
    return text


def checked_key(key: str, pointer: str) -> str:
    """The text, if it can be an idempotency key. Raises InvalidSpec, which names ``pointer``."""
    if not 1 <= len(key) <= _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        text = f"must be one value of 1 to {_LONGEST_KEY} printable ASCII characters"
        raise InvalidSpec([Fault(pointer, text, "invalid")])
    return key


def batch_faults(count: int) -> list[Fault]:
    """What is wrong with a batch of so many jobs."""
    if 1 <= count <= LARGEST_BATCH:
        return []
    return [Fault("#/jobs", f"has {count} jobs, must have 1 to {LARGEST_BATCH}", "out_of_range")]
