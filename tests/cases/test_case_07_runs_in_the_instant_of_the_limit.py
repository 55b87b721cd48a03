"""Case 7: a job is given up while it waits, in the very instant in which its container starts."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from spark_jobs.domain.state import JobState
from tests import figures
from tests.cases.scripted import Case, case
from tests.fakes.hurry import hurried

LIMIT = 15.0
OFFSETS = [-0.5, -0.1, -0.05, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05, 0.1, 0.5]


@pytest.mark.parametrize("watched", [True, False], ids=["seen", "unseen"])
def test_one_outcome_and_no_container_left(watched: bool, tmp_path: Path) -> None:
    """``unseen``: the watches tell nothing of the start, so the engine gives up what runs."""

    @hurried()
    async def run() -> None:
        async with case(tmp_path, slots=len(OFFSETS)) as c:
            ids = [await c.submit("later", "3", start_timeout=LIMIT) for _ in OFFSETS]
            await c.waits_for(lambda: len(c.api.lives) == len(OFFSETS))
            claims = [await claimed_at(c, job_id) for job_id in ids]
            if not watched:
                c.api.quiet = {"pods"}
            await asyncio.gather(
                *(
                    start(c, job_id, claimed + timedelta(seconds=LIMIT + by))
                    for job_id, claimed, by in zip(ids, claims, OFFSETS, strict=True)
                )
            )
            ended = [await c.ends(job_id) for job_id in ids]
            await c.closed()
            given_up = 0
            for job in ended:
                life = c.api.life_of(job.id)
                if job.state is JobState.FAILED:
                    given_up += 1
                    assert job.reason == "StartTimeout"
                    stops = [seen for seen in c.api.seen if seen.verb in ("delete", "patch")]
                    assert any(life.name.startswith(seen.name) for seen in stops), "given up without a stop"
                    assert not life.lines or b"end" not in life.lines[-1], "it ran to its end all the same"
                else:
                    assert job.state is JobState.SUCCEEDED
                    assert life.lines[-1].endswith(b"end\n")
                assert life.over.is_set()
            what = "seen" if watched else "unseen"
            figures.note(f"case 7, start {what}: given up, of {len(ended)}", given_up, "one outcome each")
            assert c.api.alive() == 0

    run()


async def claimed_at(c: Case, job_id: str) -> datetime:
    """From when on the limit counts."""
    claimed = (await c.service.get(job_id)).attempts[0].claimed_at
    assert claimed is not None
    return claimed


async def start(c: Case, job_id: str, at: datetime) -> None:
    """Its container starts at this time."""
    await asyncio.sleep((at - c.api.now()).total_seconds())
    c.api.life_of(job_id).may_start.set()
