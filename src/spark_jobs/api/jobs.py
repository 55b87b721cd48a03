"""Routes of jobs: submit, list, get, cancel, retry, delete."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, delete, get, post

from spark_jobs.api.body import read_json
from spark_jobs.api.checks import batch_faults, checked_key
from spark_jobs.api.listing import PARAMETERS, read_listing
from spark_jobs.api.routing import ApiRequest, about, backend_of, job_id_of, json_response, read_query
from spark_jobs.api.stream import while_listening
from spark_jobs.api.wire import JobBatch, JobList, item_plain, job_plain
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.fields import got, shown
from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from spark_jobs.store.base import Submitted

_KEY = "Idempotency-Key"
_REFUSALS = ("invalid_json", "body_too_large", "unsupported_media_type", "queue_full", "draining")


@post(
    "/v1/jobs",
    opt=about(*_REFUSALS, "id_conflict", "idempotency_conflict", headers=(_KEY,), body="JobSpecInput", also=200),
)
async def submit(request: ApiRequest) -> Response[Job]:
    """Submit a job. A repeat with the same `Idempotency-Key`, or the same `id` and spec, answers 200 and
    `Spark-Replayed: true` with the job there is."""
    key = _idempotency_key(request)
    body = await read_json(request, backend_of(request).settings.spec_bytes)
    submitted = await backend_of(request).service.submit(body, idempotency_key=key)
    headers = {"Location": _location(submitted.job)}
    return json_response(job_plain(submitted.job), *_created([submitted], headers))


@post("/v1/jobs/batch", opt=about(*_REFUSALS, "id_conflict", body="JobBatchInput", also=200))
async def submit_batch(request: ApiRequest) -> Response[JobBatch]:
    """Submit 1 to 1,000 jobs, all or none; the answer has them in the same order, and names those that were there."""
    if request.headers.get(_KEY) is not None:
        text = "a batch takes no key: give its jobs an `id` each, then a repeat starts nothing twice"
        raise InvalidSpec([Fault(_KEY, text, "not_allowed")])
    bodies = _batch(await read_json(request, backend_of(request).settings.batch_bytes))
    submitted = await backend_of(request).service.submit_batch(bodies)
    batch = {
        "jobs": [job_plain(each.job) for each in submitted],
        "replayed": [each.job.id for each in submitted if each.replayed],
    }
    return json_response(batch, *_created(submitted, {}))


@get("/v1/jobs", opt=about("invalid_page_token", query=PARAMETERS))
async def list_jobs(request: ApiRequest) -> Response[JobList]:
    """A page of jobs, newest first, without their attempts and environment."""
    listing = read_listing(read_query(request), backend_of(request).settings.clock())
    page = await backend_of(request).service.list(listing.which, page_size=listing.size, after=listing.after)
    jobs = [item_plain(job) for job in page.jobs]
    return json_response({"jobs": jobs, "next_page_token": listing.token_after(page)})


@get("/v1/jobs/{job_id:str}", opt=about("job_not_found", query=("wait",)))
async def get_job(request: ApiRequest) -> Response[Job]:
    """One job. With `wait`, the answer comes when the job is over, at the latest after that time."""
    query = read_query(request)
    seconds = query.seconds("wait")
    query.done()
    work = backend_of(request).service.get(job_id_of(request), wait=seconds)
    job = await (while_listening(request.receive, work) if seconds else work)
    return json_response(job_plain(job))


@post("/v1/jobs/{job_id:str}/cancel", status_code=200, opt=about("job_not_found", "not_cancellable", also=202))
async def cancel(request: ApiRequest) -> Response[Job]:
    """Cancel a job: 200 if it is cancelled, 202 if its container still has to be stopped."""
    job = await backend_of(request).service.cancel(job_id_of(request))
    return json_response(job_plain(job), 200 if job.state is JobState.CANCELLED else 202)


@post("/v1/jobs/{job_id:str}/retry", opt=about("job_not_found", "not_retryable", "queue_full", "draining"))
async def retry(request: ApiRequest) -> Response[Job]:
    """Submit the spec of a job that is over again, as a new job."""
    job = await backend_of(request).service.retry(job_id_of(request))
    return json_response(job_plain(job), 201, {"Location": _location(job)})


@delete("/v1/jobs/{job_id:str}", opt=about("job_not_found", "not_deletable"))
async def delete_job(request: ApiRequest) -> None:
    """Forget a job that is over, and its log."""
    await backend_of(request).service.delete(job_id_of(request))


ROUTES = (submit, submit_batch, list_jobs, get_job, cancel, retry, delete_job)


def _created(submitted: Sequence[Submitted], headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer to a submission: nothing was created if all of it was there already."""
    if all(each.replayed for each in submitted):
        return 200, {**headers, "Spark-Replayed": "true"}
    return 201, headers


def _location(job: Job) -> str:
    return f"/v1/jobs/{job.id}"


def _idempotency_key(request: ApiRequest) -> str | None:
    keys = request.headers.getall(_KEY, [])
    if not keys:
        return None
    return checked_key(keys[0] if len(keys) == 1 else "", _KEY)


def _batch(body: object) -> list[object]:
    if not isinstance(body, dict):
        raise InvalidSpec([Fault("#", f'{got(body)}, must be an object such as {{"jobs": […]}}', "wrong_type")])
    unknown = [name for name in body if name != "jobs"][:20]
    faults = [Fault(f"#/{shown(name)}", "unknown field; a batch has `jobs` alone", "unknown_field") for name in unknown]
    jobs = body.get("jobs")
    if not isinstance(jobs, list):
        faults.append(Fault("#/jobs", f"{got(jobs)}, must be a list of specs", "wrong_type"))
    else:
        faults += batch_faults(len(jobs))
    if faults or not isinstance(jobs, list):
        raise InvalidSpec(faults)
    return jobs
