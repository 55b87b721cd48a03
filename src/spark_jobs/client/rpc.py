"""The link over gRPC."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager

import msgspec
from msgspec import structs

from spark_jobs.api.checks import batch_faults
from spark_jobs.api.loglines import shown
from spark_jobs.api.messages import event_of, found_of, job_of, queue_of, spec_message, state_message
from spark_jobs.api.proto import job_service_pb2 as pb
from spark_jobs.api.query import Query, as_parameter
from spark_jobs.client.address import Address
from spark_jobs.client.channel import Channel
from spark_jobs.client.link import READ_TIMEOUT, Begun, JobPage, LogBytes, LogPart, SpecLike, checked_id
from spark_jobs.client.views import JobQuery, QueueStatus, SearchOptions, Submission
from spark_jobs.domain.errors import Fault, InvalidSpec
from spark_jobs.domain.job import Job, JobEvent
from spark_jobs.domain.parse import parse_spec
from spark_jobs.domain.search import LogMatch, SearchProgress
from spark_jobs.store.base import LogChunk

_PARAMETERS = {"labels": "label", "states": "state", "job_id": "job"}
"""What REST calls fields of a message, where it has another name for them."""

_ANY_FIELD = 2**31
"""Every field of a whole number holds those below this."""


class RpcLink:
    """See :class:`spark_jobs.client.link.Link`."""

    def __init__(self, address: Address) -> None:
        self._channel = Channel(address)

    @property
    def where(self) -> str:
        """The server's URL."""
        return self._channel.address.url

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def submit(self, spec: SpecLike, *, key: str, timeout: float) -> Submission:
        """See ``Link.submit``. Raises InvalidSpec also here: a message has no room for what a spec may not hold."""
        request = pb.SubmitRequest(spec=_message(spec, "#"), idempotency_key=key)
        return await self._channel.call("Submit", request, _submission, timeout=timeout)

    async def submit_batch(self, specs: Sequence[SpecLike], *, timeout: float) -> Sequence[Submission]:
        """See ``Link.submit_batch``. Raises InvalidSpec as :meth:`submit`."""
        requests = [pb.SubmitBatchRequest(spec=message) for message in _messages(specs)]
        return await self._channel.exchange("SubmitBatch", requests, _submission, timeout=timeout)

    async def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """See ``Link.get``."""
        request = pb.GetRequest(job_id=checked_id(job_id), wait=wait)
        return await self._channel.call("Get", request, _job, timeout=READ_TIMEOUT + (wait or 0.0))

    async def page(self, query: JobQuery, *, size: int, token: str | None) -> JobPage:
        """See ``Link.page``."""
        _whole(page_size=size)
        request = pb.ListRequest(
            states=_states(query.states),
            labels=query.labels,
            name=query.name,
            name_prefix=query.name_prefix,
            id_prefix=query.id_prefix,
            since=query.since,
            until=query.until,
            page_size=size,
            page_token=token or "",
        )
        with _as_parameters():
            return await self._channel.call("List", request, _page)

    async def cancel(self, job_id: str) -> Job:
        """See ``Link.cancel``."""
        return await self._channel.call("Cancel", pb.CancelRequest(job_id=checked_id(job_id)), _job)

    async def retry(self, job_id: str) -> Job:
        """See ``Link.retry``."""
        return await self._channel.call("Retry", pb.RetryRequest(job_id=checked_id(job_id)), _job)

    async def delete(self, job_id: str) -> None:
        """See ``Link.delete``."""
        await self._channel.call("Delete", pb.DeleteRequest(job_id=checked_id(job_id)), pb.DeleteResponse.FromString)

    async def queue(self) -> QueueStatus:
        """See ``Link.queue``."""
        return await self._channel.call("GetQueue", pb.GetQueueRequest(), _queue)

    async def set_paused(self, paused: bool) -> QueueStatus:
        """See ``Link.set_paused``."""
        if paused:
            return await self._channel.call("PauseQueue", pb.PauseQueueRequest(), _queue)
        return await self._channel.call("ResumeQueue", pb.ResumeQueueRequest(), _queue)

    async def log(self, job_id: str, part: LogPart) -> AsyncGenerator[LogBytes, None]:
        """See ``Link.log``. A silence is looked into here, so it never raises Silent."""
        _whole(attempt=part.attempt, offset=part.offset, tail=part.tail)
        request = pb.FollowLogsRequest(
            job_id=checked_id(job_id),
            attempt=part.attempt,
            follow=part.follow,
            offset=part.offset or 0,
            tail=part.tail,
            since=part.since,
            timestamps=part.timestamps or part.json,
            alone=part.attempt is not None,  # which attempt comes next is asked for attempt by attempt
        )
        with _as_parameters():
            async with aclosing(self._channel.stream("FollowLogs", request, pb.LogChunk.FromString)) as chunks:
                async for chunk in chunks:
                    yield _log_bytes(chunk, part)

    async def search(self, pattern: str, options: SearchOptions) -> AsyncGenerator[LogMatch | SearchProgress, None]:
        """See ``Link.search``. A silence is looked into here, so it never raises Silent."""
        _whole(context=options.context, limit=options.limit)
        request = pb.SearchLogsRequest(
            pattern=pattern,
            fixed=options.fixed,
            ignore_case=options.ignore_case,
            context=options.context,
            states=_states(options.states),
            labels=options.labels,
            name=options.name,
            job_id=options.job_id,
            since=options.since,
            limit=options.limit,
        )
        with _as_parameters():
            async with aclosing(self._channel.stream("SearchLogs", request, _found)) as found:
                async for item in found:
                    if item is not None:
                        yield item

    async def events(self, job_id: str | None, after: int | None) -> AsyncGenerator[JobEvent | Begun, None]:
        """See ``Link.events``. A silence is looked into here, so it never raises Silent."""
        _whole(after=after)
        request = pb.WatchEventsRequest(job_id="" if job_id is None else checked_id(job_id), after=after)
        stream = self._channel.stream("WatchEvents", request, _event, begun=_begun)
        async with aclosing(stream) as events:
            async for event in events:
                yield event


def _message(spec: SpecLike, pointer: str) -> pb.JobSpec:
    # Through JSON, so that a spec means here what it means over REST.
    plain = msgspec.json.decode(msgspec.json.encode(spec))
    return spec_message(parse_spec(plain, pointer=pointer))


def _messages(specs: Sequence[SpecLike]) -> Iterator[pb.JobSpec]:
    faults: list[Fault] = batch_faults(len(specs))
    for index, spec in enumerate(specs):
        try:
            yield _message(spec, f"#/jobs/{index}")
        except InvalidSpec as error:
            faults.extend(error.faults)
    if faults:
        raise InvalidSpec(faults)


def _states(words: Sequence[str]) -> list[str]:
    """The names of states, from the words that REST takes. Raises InvalidSpec as REST does."""
    query = Query([("state", word) for word in words], ("state",))
    states = query.states("state")
    query.done()
    return [pb.JobState.Name(state_message(state)) for state in sorted(states)]


def _whole(**numbers: int | None) -> None:
    """Raises InvalidSpec, as REST does, for a number that is out of bounds and for which a message may have no room. Of
    others the server tells, with all else that is wrong."""
    large = {name: number for name, number in numbers.items() if number is not None and abs(number) >= _ANY_FIELD}
    query = Query([(name, str(number)) for name, number in large.items()], large)
    for name in large:
        query.whole(name)
    query.done()


@contextmanager
def _as_parameters() -> Iterator[None]:
    """What is wrong with a request that is no spec is told as REST tells it."""
    try:
        yield
    except InvalidSpec as error:
        faults = [structs.replace(fault, pointer=_parameter(fault.pointer)) for fault in error.faults]
        raise InvalidSpec(faults) from None


def _parameter(pointer: str) -> str:
    field = pointer.removeprefix("#/").partition("/")[0]
    return as_parameter(_PARAMETERS.get(field, field))


def _submission(answer: bytes) -> Submission:
    # Both answers to a submission have the same fields.
    message = pb.SubmitResponse.FromString(answer)
    return Submission(job_of(message.job), message.replayed)


def _job(answer: bytes) -> Job:
    return job_of(pb.Job.FromString(answer))


def _page(answer: bytes) -> JobPage:
    message = pb.ListResponse.FromString(answer)
    return JobPage([job_of(job) for job in message.jobs], message.next_page_token or None)


def _queue(answer: bytes) -> QueueStatus:
    return queue_of(pb.Queue.FromString(answer), QueueStatus)


def _found(answer: bytes) -> LogMatch | SearchProgress | None:
    return found_of(pb.SearchLogsResponse.FromString(answer))


def _begun(metadata: Mapping[str, str]) -> Begun | None:
    place = metadata.get("spark-place", "")
    return Begun(int(place)) if place.isdecimal() else None


def _event(answer: bytes) -> JobEvent | Begun:
    return event_of(pb.JobEvent.FromString(answer))


def _log_bytes(message: pb.LogChunk, part: LogPart) -> LogBytes:
    chunk = LogChunk(offset=message.offset, line=0, data=message.data, stamps=tuple(message.line_times))
    data = shown(message.attempt, chunk, timestamps=part.timestamps, json=part.json)
    return LogBytes(message.attempt, data, message.offset + len(message.data))
