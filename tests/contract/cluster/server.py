"""A server with a local cluster that a test can kill: runs one attempt and repeats its log on stdout.

Usage: python -m tests.contract.cluster.server FOLDER SHELL-LINE
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from spark_jobs.cluster.base import AttemptRef
from spark_jobs.cluster.local import LocalCluster
from spark_jobs.domain.spec import JobSpec
from tests.contract.cluster.stage import Stage

REF = AttemptRef(job_id="killed", attempt=1, claim="0" * 32, namespace="default", name="spark-aaaaaaaaaaaa-1")


async def main(folder: Path, shell: str) -> None:
    """Run until killed, or until the attempt has ended."""
    cluster = LocalCluster(folder, clock=lambda: datetime.now(UTC))
    stage = Stage(cluster, "default")
    await cluster.start("suite", stage.changed)
    await cluster.create(REF, JobSpec(image="none", command=["sh", "-c", shell]))
    pod = await stage.running(REF)
    async with stage.following(REF, pod) as stream:
        async for lines in stream:
            sys.stdout.write(lines.data.decode())
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
