"""Exit codes, and how errors are told: one line each, then what to do about it; never a traceback."""

from __future__ import annotations

import sys

from spark_jobs.cli.text import clean
from spark_jobs.client.link import NeverSent, WrongDoor
from spark_jobs.domain.errors import (
    AccessRefused,
    BadRequest,
    ClusterError,
    ClusterUnavailable,
    DataDirError,
    InvalidSpec,
    QueueFull,
    ServerUnreachable,
    SettingError,
    SparkError,
    TryAgain,
)

REFUSED = 1  # by the state of things, or not found
USAGE = 2  # also an invalid spec or setting
UNREACHABLE = 69
TRY_AGAIN = 75
NO_TOKEN = 77
TIMED_OUT = 124
FAILED = 125  # without an exit code of its own
INTERRUPTED = 130
TERMINATED = 143

_CODES: tuple[tuple[type[SparkError], int], ...] = (
    (BadRequest, USAGE),
    (SettingError, USAGE),
    (DataDirError, USAGE),
    (AccessRefused, NO_TOKEN),
    (TryAgain, TRY_AGAIN),
    (ServerUnreachable, UNREACHABLE),
    (ClusterUnavailable, UNREACHABLE),
    (ClusterError, USAGE),
)
_HINTS: tuple[tuple[type[SparkError], str], ...] = (
    (QueueFull, "nothing was stored; --wait-for-room waits as long as it takes, `spark queue` shows what for"),
)
NO_SERVER = "start one with `spark dev` or `spark server`, or run without any: `spark run --standalone`"


class UsageError(SparkError):
    """The command was not used as it can be."""

    code = "usage"


def exit_code(error: SparkError) -> int:
    """The exit code that stands for this error."""
    if isinstance(error, UsageError):
        return USAGE
    return next((code for kind, code in _CODES if isinstance(error, kind)), REFUSED)


def lines(error: SparkError) -> list[str]:
    """What to say: every fault of a spec in a line of its own, anything else in one, a hint after it."""
    if isinstance(error, InvalidSpec):
        return [f"{_place(fault.pointer)}: {fault.detail}" for fault in error.faults]
    if isinstance(error, NeverSent) and not isinstance(error, WrongDoor):
        return [f"{error.message}: {NO_SERVER}"]
    return [error.message, *(hint for kind, hint in _HINTS if isinstance(error, kind))]


def _place(pointer: str) -> str:
    """Where a fault is, for a person: a parameter has the name of its flag, but for the one that is no flag."""
    name = pointer.removeprefix("?")
    if name == pointer or not name:
        return pointer
    return "PATTERN" if name == "pattern" else f"--{name.replace('_', '-')}"


def report(error: Exception) -> int:
    """Tell the error on stderr and return the exit code for it."""
    if isinstance(error, SparkError):
        told, code = lines(error), exit_code(error)
    elif isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        told, code = [f"{name}{error.strerror or error}"], REFUSED
    else:
        told = [f"an error that should not happen: {type(error).__name__}: {error} (SPARK_TRACEBACK=1 shows where)"]
        code = REFUSED
    for line in told:
        print(f"spark: {clean(line)}", file=sys.stderr)
    return code
