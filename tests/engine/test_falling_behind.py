"""A follow that lags may pass over a rotated file: such a log is called complete only where no file can have gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from spark_jobs.cluster.base import AttemptRef, LogLines, PodSeen
from spark_jobs.cluster.fake import FakeCluster, Script
from spark_jobs.domain.errors import LogUnavailable
from spark_jobs.domain.job import LogState
from tests.engine.bench import bench
from tests.fakes.passing import pass_by

SIZE = 2000
LINES = ("x" * (SIZE - 1),) * 3000
FIRST = 1000
"""So many lines come at once, the others when they are old: four megabytes, more than is let pass without a doubt."""


class Late(FakeCluster):
    """Gives the first lines of a followed log at once, the rest late; ``rotated``: the file that is served begins later;
    ``refuses``: it can't be read from its start."""

    def __init__(self, *, rotated: bool = False, refuses: bool = False) -> None:
        super().__init__(lambda _spec: Script(lines=LINES, line_every=1e-6, runs=3.2))
        self.rotated = rotated
        self.refuses = refuses

    async def logs(
        self, ref: AttemptRef, pod: PodSeen, *, since_ns: int | None = None, follow: bool = False
    ) -> AsyncGenerator[LogLines]:
        from_the_start = since_ns is None and not follow
        if from_the_start and self.refuses:
            raise LogUnavailable("500: the node does not answer")
        given = 0
        async for lines in super().logs(ref, pod, since_ns=since_ns, follow=follow):
            if follow and given:
                await pass_by(2.2)  # how late it is, is what is tried
            if given > 1 or not (from_the_start and self.rotated):
                yield lines
            given += 1


@pytest.mark.parametrize(
    ("cluster", "state"),
    [
        pytest.param(Late, LogState.COMPLETE, id="nothing was rotated away"),
        pytest.param(lambda: Late(rotated=True), LogState.UNVERIFIED, id="a file was"),
        pytest.param(lambda: Late(refuses=True), LogState.UNVERIFIED, id="it can not be found out"),
    ],
)
async def test_a_log_that_was_read_late(tmp_path: Path, cluster: type[Late], state: LogState) -> None:
    """Invariant 6."""
    async with bench(tmp_path, cluster(), log_grace=10.0) as on:
        job = await on.ends(await on.submit())
        log = job.attempts[0].log
        place = "from byte 2000000 on"
        assert (log.state, log.bytes) == (state, SIZE * len(LINES))
        assert (log.problem is None) if state is LogState.COMPLETE else (place in (log.problem or ""))
