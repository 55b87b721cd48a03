"""JobService over gRPC: what REST offers, with the same checks and the same words."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from spark_jobs.api import listing, messages, reading, searching
from spark_jobs.api.checks import LARGEST_BATCH, batch_faults, checked_job_id, checked_key
from spark_jobs.api.listing import Listing, read_listing
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.query import Query
from spark_jobs.api.reading import read_on, read_part
from spark_jobs.api.rpc.calls import Opening
from spark_jobs.api.searching import found_in, read_search
from spark_jobs.api.stream import closing
from spark_jobs.domain.errors import BodyTooLarge, Draining, Fault, InvalidSpec
from spark_jobs.domain.quantities import parse_duration
from spark_jobs.service import JobService

LARGEST_BATCH_BYTES = 16 * 1024 * 1024
PAGE_BYTES = 1024 * 1024
PLACE = "spark-place"
"""Metadata at the beginning of a stream of events: what comes is newer than the one of this number."""

_LISTED = {"label": "labels", "state": "states", "job": "job_id"}


class JobRpc:
    """Each method by its name; ``clock`` gives the time that durations ago count from."""

    def __init__(self, service: JobService, clock: Callable[[], datetime]) -> None:
        self._service = service
        self._clock = clock

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitResponse:
        """Submit one job."""
        key = checked_key(request.idempotency_key, "#/idempotency_key") if request.HasField("idempotency_key") else None
        submitted = await self._service.submit(messages.spec_plain(request.spec), idempotency_key=key)
        return pb.SubmitResponse(job=messages.job_message(submitted.job), replayed=submitted.replayed)

    async def submit_batch(
        self, requests: AsyncIterator[pb.SubmitBatchRequest]
    ) -> AsyncGenerator[pb.SubmitBatchResponse, None]:
        """Submit all jobs or none, once the last of them has come."""
        for each in await self._service.submit_batch(await _batch(requests)):
            yield pb.SubmitBatchResponse(job=messages.job_message(each.job), replayed=each.replayed)

    async def get(self, request: pb.GetRequest) -> pb.Job:
        """One job, as it is or once it is over."""
        wait = _seconds(request.wait, "#/wait") if request.HasField("wait") else None
        return messages.job_message(await self._service.get(checked_job_id(request.job_id), wait=wait))

    async def list(self, request: pb.ListRequest) -> pb.ListResponse:
        """A page of jobs."""
        pairs = [*_lists(request), *_pairs(request, ("name", "name_prefix", "id_prefix", "since", "until"))]
        # What is empty or 0 is not set here.
        pairs += [(name, str(value)) for name in ("page_size", "page_token") if (value := getattr(request, name))]
        wanted = read_listing(Query(pairs, listing.PARAMETERS, place=_place), self._clock())
        return await self._page(wanted)

    async def _page(self, wanted: Listing) -> pb.ListResponse:
        page = await self._service.list(wanted.which, page_size=wanted.size, after=wanted.after)
        jobs = [messages.listed_message(job) for job in page.jobs]
        fitting = _fitting(jobs)
        if fitting < len(jobs):
            # The place after a job in the middle of a page is known to a page that ends there.
            page = await self._service.list(wanted.which, page_size=fitting, after=wanted.after)
            jobs = [messages.listed_message(job) for job in page.jobs]
        return pb.ListResponse(jobs=jobs, next_page_token=wanted.token_after(page))

    async def cancel(self, request: pb.CancelRequest) -> pb.Job:
        """Cancel a job, or ask it to stop."""
        return messages.job_message(await self._service.cancel(checked_job_id(request.job_id)))

    async def retry(self, request: pb.RetryRequest) -> pb.Job:
        """Submit the spec of a job that is over again."""
        return messages.job_message(await self._service.retry(checked_job_id(request.job_id)))

    async def delete(self, request: pb.DeleteRequest) -> pb.DeleteResponse:
        """Forget a job that is over."""
        await self._service.delete(checked_job_id(request.job_id))
        return pb.DeleteResponse()

    async def get_queue(self, _request: pb.GetQueueRequest) -> pb.Queue:
        """The queue now."""
        return messages.queue_message(await self._service.queue())

    async def pause_queue(self, _request: pb.PauseQueueRequest) -> pb.Queue:
        """Start no more jobs."""
        return messages.queue_message(await self._service.set_paused(True))

    async def resume_queue(self, _request: pb.ResumeQueueRequest) -> pb.Queue:
        """Start jobs again."""
        return messages.queue_message(await self._service.set_paused(False))

    async def watch_events(self, request: pb.WatchEventsRequest) -> AsyncGenerator[pb.JobEvent | Opening, None]:
        """Changes of one job, until it is deleted, or of all."""
        query = Query(_pairs(request, ("after",)), ("after",), place=_place)
        after = query.whole("after")
        query.done()
        job_id = checked_job_id(request.job_id) if request.job_id else None
        if job_id is not None:
            await self._service.get(job_id)
        begin = await self._service.event_place(after, job_id)
        yield Opening(((PLACE, str(begin)),))
        async with closing(self._service.events(after=begin, job_id=job_id)) as events:
            async for event in events:
                yield messages.event_message(event)
        if self._service.draining:
            raise _going()

    async def follow_logs(self, request: pb.FollowLogsRequest) -> AsyncGenerator[pb.LogChunk, None]:
        """A log, piece by piece."""
        pairs = _pairs(request, ("attempt", "offset", "tail", "since"))
        pairs += [(name, str(getattr(request, name)).lower()) for name in ("follow", "all_attempts", "timestamps")]
        part = read_part(Query(pairs, reading.PARAMETERS, place=_place), self._clock())
        job_id = checked_job_id(request.job_id)
        found = self._service.logs(job_id, part) if request.alone else read_on(self._service, job_id, part)
        async with closing(found) as pieces:
            async for piece in pieces:
                yield pb.LogChunk(
                    attempt=piece.attempt,
                    offset=piece.chunk.offset,
                    data=piece.chunk.data,
                    line_times=piece.chunk.stamps,
                )
        if part.follow and self._service.draining:
            raise _going()

    async def search_logs(self, request: pb.SearchLogsRequest) -> AsyncGenerator[pb.SearchLogsResponse, None]:
        """What is found in logs, as it is found."""
        pairs = [*_lists(request), *_pairs(request, ("pattern", "context", "name", "since", "limit"))]
        pairs += [(name, str(getattr(request, name)).lower()) for name in ("fixed", "ignore_case")]
        if request.HasField("job_id"):
            pairs.append(("job", request.job_id))
        search = read_search(Query(pairs, searching.PARAMETERS, place=_place), self._clock())
        async with closing(found_in(self._service, search, place=_place)) as items:
            async for item in items:
                yield messages.found_message(item)


async def _batch(requests: AsyncIterator[pb.SubmitBatchRequest]) -> list[object]:
    """The specs of a batch. Raises InvalidSpec, BodyTooLarge."""
    specs: list[object] = []
    size = count = 0
    async for request in requests:
        size += request.ByteSize()
        count += 1
        if size <= LARGEST_BATCH_BYTES and count <= LARGEST_BATCH:
            specs.append(messages.spec_plain(request.spec))
        elif size > 2 * LARGEST_BATCH_BYTES or count > 2 * LARGEST_BATCH:
            break  # who sends only a little too much is listened to first: an answer before that is an error in clients
    if size > LARGEST_BATCH_BYTES:
        raise BodyTooLarge(f"the batch is larger than {LARGEST_BATCH_BYTES // 2**20} MiB in all; send it in parts")
    if faults := batch_faults(count):
        raise InvalidSpec(faults)
    return specs


def _lists(request: pb.ListRequest | pb.SearchLogsRequest) -> list[tuple[str, str]]:
    """The states and labels, as parameters."""
    states = [messages.state_of(number, f"#/states/{index}") for index, number in enumerate(request.states)]
    return [*(("state", state) for state in states), *(("label", label) for label in request.labels)]


def _pairs(request: Message, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """The fields that are set, as parameters."""
    fields: dict[str, Any] = {field.name: field for field in request.DESCRIPTOR.fields}
    return [
        (name, str(getattr(request, name))) for name in names if not fields[name].has_presence or request.HasField(name)
    ]


def _place(name: str) -> str:
    return f"#/{_LISTED.get(name, name)}"


def _seconds(value: float, pointer: str) -> float:
    try:
        return parse_duration(value, zero=True)
    except ValueError as error:
        raise InvalidSpec([Fault(pointer, str(error), "invalid")]) from None


def _going() -> Draining:
    return Draining("the server is about to stop, and this stream with it: go on from the same place at the next one")


def _fitting(jobs: list[pb.Job]) -> int:
    """How many of the jobs go into one page: at least one."""
    size = 0
    for number, job in enumerate(jobs):
        size += job.ByteSize()
        if size > PAGE_BYTES and number > 0:
            return number
    return len(jobs)
