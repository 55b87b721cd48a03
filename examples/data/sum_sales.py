"""Adds up the fifty files of the claim `sales`, a job for each, at most ten at a time, and prints the total."""

import asyncio
import json

from spark_jobs import Runner

FILES = [f"/data/part-{number:02}.csv" for number in range(1, 51)]
# What the container leaves at /dev/termination-log (4 KiB at most) comes back as the result of its job.
SUM = """
awk -F, '{ rows += 1; cents += $column } END { printf "{\\"rows\\": %d, \\"cents\\": %d}", rows, cents }' \
    column="$COLUMN" "$1" > /dev/termination-log
"""


def job(file: str) -> dict[str, object]:
    """The job that adds up one file."""
    return {
        "image": "busybox:1",
        "command": ["sh", "-c", SUM, "sum"],
        "args": [file],
        "env": {"COLUMN": "2"},
        "volumes": [{"mount": "/data", "pvc": "sales", "read_only": True}],
        "timeout": "10m",
        "retries": 2,
    }


async def main() -> None:
    """Jobs come back in the order of the files. The first that fails for good ends all."""
    rows = cents = 0
    async with Runner(max_concurrent_jobs=10) as runner:
        async for done in runner.map(job(file) for file in FILES):
            part = json.loads(done.result or "")
            rows += part["rows"]
            cents += part["cents"]
    print(f"{rows} rows, {cents / 100:.2f} in all")


if __name__ == "__main__":
    asyncio.run(main())
