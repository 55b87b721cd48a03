"""The same without `async`: ``from spark_jobs.sync import Runner, Client``. Each has a thread and an event loop of its own,
so they work in scripts, in notebooks and beside other event loops."""

from importlib import import_module
from typing import TYPE_CHECKING

from spark_jobs.sync.client import Client

if TYPE_CHECKING:  # what the names are, for those who check types
    from spark_jobs.sync.handle import Handle
    from spark_jobs.sync.runner import Runner

__all__ = ["Client", "Handle", "Runner"]

# Resolved at first use: they need the packages of the server, which a client does without.
_OF_THE_SERVER = {"Handle": "spark_jobs.sync.handle", "Runner": "spark_jobs.sync.runner"}


def __getattr__(name: str) -> object:
    """Resolve the names that need more packages (PEP 562). Raises MissingExtra."""
    if name in _OF_THE_SERVER:
        import_module("spark_jobs.runner")  # first: it says which packages are missing
        return getattr(import_module(_OF_THE_SERVER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
