"""Routes of jobs."""

from tests.api.asgi import Caller
from tests.engine.bench import Bench

SPEC = {"image": "busybox:1", "command": ["lines"]}


async def test_a_submission_answers_with_the_job_and_where_it_is(api: Caller) -> None:
    answer = await api.post("/v1/jobs", {**SPEC, "name": "first", "timeout": "5m"})
    assert answer.status == 201
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["spec"]["name"], job["spec"]["timeout"]) == ("QUEUED", "first", 300)
    assert job["attempts"] == []


async def test_a_job_is_shown_with_every_key_and_its_spec_posts_back_unchanged(api: Caller, core: Bench) -> None:
    job_id = await core.submit(command=["lines"])
    await core.ends(job_id)
    job = (await api.get(f"/v1/jobs/{job_id}")).json()
    print(job)
