"""The methods of the first Spark, over gRPC and REST alike, for its clients: names, numbers and words are theirs."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from functools import cache
from importlib import metadata
from typing import Any

import msgspec

from spark_jobs.api.checks import checked_job_id
from spark_jobs.api.proto import spark_service_pb2 as pb
from spark_jobs.api.stream import closing
from spark_jobs.domain.errors import Fault, IdConflict, InvalidSpec
from spark_jobs.domain.job import Job
from spark_jobs.domain.state import JobState
from spark_jobs.service import JobService, LogPart

LOG_BYTES = 3_670_016
"""So much of a log is given at most, as UTF-8: 3.5 MiB, since clients of gRPC take 4 MiB by default."""

_NOTICE_BYTES = 100
_STATUS = {
    JobState.QUEUED: "PENDING",
    JobState.STARTING: "PENDING",
    JobState.TIMED_OUT: "TIMEOUT",
}


class Original:
    """Each method by its name; ``version`` is this server's."""

    def __init__(self, service: JobService, version: str) -> None:
        self._service = service
        self._version = version

    async def queue_job(self, request: pb.QueueJobRequest) -> pb.QueueJobResponse:
        """Put a job into the queue. A repeat of one that is under way is answered with it.

        Raises:
            InvalidSpec, QueueFull, Draining: nothing was stored. IdConflict: the id belongs to another job, or to one
            that is over.
        """
        body = {
            "image": request.image,
            "command": list(request.command) or None,
            "id": request.job_id or None,
            "timeout": request.timeout or None,
        }
        try:
            submitted = await self._service.submit(body)
        except InvalidSpec as error:
            raise InvalidSpec([_named_as_theirs(fault) for fault in error.faults]) from None
        job = submitted.job
        if submitted.replayed and job.state.is_terminal:
            text = f"job {job.id} is {job.state} since before: nothing was started; choose another job_id, or none"
            raise IdConflict(text)
        return pb.QueueJobResponse(id=job.id, name=job.id, namespace=job.spec.namespace or "")

    async def get_job_status(self, request: pb.GetJobStatusRequest) -> pb.GetJobStatusResponse:
        """Where the job is. Raises JobNotFound."""
        job = await self._service.get(checked_job_id(request.job_id))
        return pb.GetJobStatusResponse(job_id=job.id, status=status_word(job.state), error_message=_error_message(job))

    async def get_job_logs(self, request: pb.GetJobLogsRequest) -> pb.GetJobLogsResponse:
        """The end of the latest attempt's log as it is now; empty before there is one. Raises JobNotFound."""
        job = await self._service.get(checked_job_id(request.job_id))
        if not job.attempts:
            return pb.GetJobLogsResponse()
        attempt = job.attempts[-1].attempt
        end = await self._service.log_end(job.id, attempt)
        # One byte more says whether the part begins a line.
        raw, start = await self._last_bytes(job.id, attempt, max(0, end - LOG_BYTES - 1))
        return pb.GetJobLogsResponse(logs=await asyncio.to_thread(_text, raw, start))

    async def ping(self, _request: pb.PingRequest) -> pb.PingResponse:
        """The server answers."""
        return pb.PingResponse(message="Pong", version=self._version, commit=_commit())

    async def _last_bytes(self, job_id: str, attempt: int, start: int) -> tuple[bytes, int]:
        """The log from about byte ``start`` on, and where what is given begins; bounded, should it grow meanwhile."""
        kept: deque[bytes] = deque()
        size, begin = 0, start
        async with closing(self._service.logs(job_id, LogPart(attempt=attempt, offset=start))) as pieces:
            async for piece in pieces:
                kept.append(piece.chunk.data)
                size += len(piece.chunk.data)
                while size - len(kept[0]) > LOG_BYTES:
                    begin += len(kept[0])
                    size -= len(kept.popleft())
        return b"".join(kept), begin


@cache
def _commit() -> str:
    """The commit that this was installed from, where the installer noted one (PEP 610)."""
    try:
        noted = metadata.distribution("spark-jobs").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return ""
    origin: dict[str, Any] = json.loads(noted or "{}")
    return str(origin.get("vcs_info", {}).get("commit_id", ""))


def status_word(state: JobState) -> str:
    """The state in the words of the first Spark; CANCELLED, which it does not know, is ours."""
    return _STATUS.get(state, state.value)


def _named_as_theirs(fault: Fault) -> Fault:
    return msgspec.structs.replace(fault, pointer="#/job_id") if fault.pointer == "#/id" else fault


def _error_message(job: Job) -> str:
    if not job.state.is_terminal or job.state is JobState.SUCCEEDED:
        return ""
    return ": ".join(filter(None, (job.reason, job.message)))


def _text(raw: bytes, start: int) -> str:
    """The end of a log as text: what begins at byte ``start``, cut at a line to what may be given."""
    if start == 0 and _encoded_size(raw) <= LOG_BYTES:
        return raw.decode(errors="replace")
    last = len(raw) - 1  # a newline there ends the last line, after which there is nothing
    cut = raw.find(b"\n", 0, last) + 1 if start else 0
    while (excess := _encoded_size(raw[cut:]) - (LOG_BYTES - _NOTICE_BYTES)) > 0:
        # A byte that is no text takes three as U+FFFD, so at least a third of the excess has to go.
        least = cut + -(-excess // 3)
        cut = raw.find(b"\n", least - 1, last) + 1 or least
    return f"[spark: {start + cut} bytes before this line are left out]\n" + raw[cut:].decode(errors="replace")


def _encoded_size(raw: bytes) -> int:
    return len(raw.decode(errors="replace").encode())
