"""The client of a Spark server: :class:`Client`; the command line uses it and nothing else."""

from spark_jobs.client.address import DEFAULT_SERVERS, Address, Mode, find_address
from spark_jobs.client.client import Client
from spark_jobs.client.contact import Contact
from spark_jobs.client.link import Link, LogBytes
from spark_jobs.client.logs import LogOptions
from spark_jobs.client.views import JobQuery, QueueStatus, SearchOptions, Submission

__all__ = [
    "DEFAULT_SERVERS",
    "Address",
    "Client",
    "Contact",
    "JobQuery",
    "Link",
    "LogBytes",
    "LogOptions",
    "Mode",
    "QueueStatus",
    "SearchOptions",
    "Submission",
    "find_address",
]
