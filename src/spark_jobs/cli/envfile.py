"""Files of environment variables: ``NAME=VALUE`` a line, taken literally."""

from __future__ import annotations

import os
from pathlib import Path

from spark_jobs.cli.failures import UsageError


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in the file; empty lines and lines that begin with ``#`` are skipped, ``NAME`` alone is this
    shell's value.

    Raises:
        UsageError: the file can't be read, or a line is none of these. The message holds no value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"--env-file {path}: {reason}") from None
    env: dict[str, str] = {}
    # Only \n ends a line: str.splitlines would also break at U+2028 and the like, which a value may hold.
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.removesuffix("\r")
        if not stripped.strip() or stripped.lstrip().startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        name = name.strip()
        if not name or (not equals and name not in os.environ):
            raise UsageError(
                f"--env-file {path}, line {number}: write NAME=VALUE, or the name of a variable of this shell"
            )
        env[name] = value if equals else os.environ[name]
    return env
