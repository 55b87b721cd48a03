"""Opens the log of a container and cuts it into lines with stamps. When to open it again is the caller's affair."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

from spark_jobs.cluster import marks
from spark_jobs.cluster.base import LogLines, PodSeen
from spark_jobs.cluster.kubernetes.answers import Answer
from spark_jobs.cluster.kubernetes.limiter import Priority
from spark_jobs.cluster.kubernetes.stamps import NoStamp, Stamps, as_since
from spark_jobs.cluster.kubernetes.transport import Call, Transport
from spark_jobs.domain.errors import ClusterUnavailable, LogUnavailable

LONGEST_PIECE = 1024 * 1024
_READ_SILENCE = 30.0
_LONGEST_SENTENCE = 500


async def read_log(
    transport: Transport, namespace: str, pod: PodSeen, *, since_ns: int | None, follow: bool
) -> AsyncGenerator[LogLines]:
    """One stream of a log; see the contract of :mod:`spark_jobs.cluster.base`.

    Raises:
        LogUnavailable, ClusterUnavailable: as the contract says.
    """
    params = {"container": marks.CONTAINER, "timestamps": "true"}
    if follow:
        params["follow"] = "true"
    if since_ns is not None:
        params["sinceTime"] = as_since(since_ns)
    call = Call(
        verb="log",
        path=f"/api/v1/namespaces/{namespace}/pods/{pod.name}/log",
        what=f"read the log of pod {pod.name}",
        priority=Priority.FOLLOW if follow else Priority.FINAL_LOG,
        params=params,
        accept="*/*",
    )
    async with transport.stream(call, silence=None if follow else _READ_SILENCE) as stream:
        if stream.refusal is not None:
            raise _error(stream.refusal, pod)
        cutter = LogCutter(resumed=since_ns is not None)
        async for chunk in stream.chunks():
            for lines in cutter.feed(chunk):
                yield lines
        for lines in cutter.end():
            yield lines


def _error(answer: Answer, pod: PodSeen) -> LogUnavailable | ClusterUnavailable:
    """Only the pod's absence means that there will never be a log; a node that restarts may answer 404 for a while."""
    if answer.code in (429, 503):
        return ClusterUnavailable(answer.message, retry_after=answer.retry_after)
    absent = answer.code == 404 and answer.message.startswith(f'pods "{pod.name}" not found')
    return LogUnavailable(f"{answer.code}: {answer.message}", gone=absent)


class LogCutter:
    """Turns the bytes of one stream into batches. A line beyond ``longest`` bytes is handed on in pieces.

    A runtime writes a long line down in pieces, each with its time, and the API shows the first one's. A stream that is
    ``resumed`` in the midst of such a line begins with its rest, without a stamp: that is dropped, since its line began
    before the place to resume from. What the cluster says instead of a log has no stamp either, and no line after it.
    """

    def __init__(self, longest: int = LONGEST_PIECE, *, resumed: bool = False) -> None:
        self._longest = longest
        self._may_begin_inside = resumed
        self._dropped: bytes | None = None  # the beginning of what has no stamp, until a line comes that has one
        self._stamps = Stamps()
        self._rest = bytearray()
        self._inside = False  # a part of the line at hand has been handed on

    def feed(self, chunk: bytes) -> Iterator[LogLines]:
        """What can be handed on after these bytes.

        Raises:
            LogUnavailable: the cluster says something instead of giving the log.
        """
        end = chunk.rfind(b"\n") + 1
        if end:
            whole = bytes(self._rest) + chunk[:end] if self._rest else chunk[:end]
            self._rest = bytearray(chunk[end:])
            yield from self._whole_lines(whole)
        else:
            self._rest += chunk
        if len(self._rest) > self._longest and (piece := self._piece()) is not None:
            yield piece

    def end(self) -> Iterator[LogLines]:
        """The stream ended: a last line without its newline.

        Raises:
            LogUnavailable: the cluster said something instead of giving the log, or the stream was cut off.
        """
        if self._inside:
            if self._rest:
                yield LogLines(data=bytes(self._rest), stamps=())
            return
        stamp, space, text = bytes(self._rest).partition(b" ")
        ns = self._stamps.read(stamp)
        if ns is not None and text:
            yield LogLines(data=text, stamps=(ns,))
        elif self._dropped is not None:
            raise self._refusal(self._dropped)
        elif ns is None and space:
            raise self._refusal(bytes(self._rest))
        elif stamp:
            raise LogUnavailable("the log was cut off: it ended within the time of a line")

    def _whole_lines(self, block: bytes) -> Iterator[LogLines]:
        if self._may_begin_inside:
            block = self._without_a_rest(block)
            if not block:
                return
        if self._inside:
            end = block.index(b"\n") + 1
            yield LogLines(data=block[:end], stamps=())
            block, self._inside = block[end:], False
            if not block:
                return
        lines = block.split(b"\n")
        lines.pop()  # nothing stands behind the last newline
        try:
            stamps, texts = self._stamps.split(lines)
        except NoStamp as error:
            if error.line:
                self._dropped = None
                stamps, texts = self._stamps.split(lines[: error.line])
                yield _batch(stamps, texts)
            raise self._refusal(lines[error.line]) from None
        self._dropped = None
        yield _batch(stamps, texts)

    def _without_a_rest(self, block: bytes) -> bytes:
        """The stream's first whole lines, without the rest of a line that began before."""
        self._may_begin_inside = False
        first, _, others = block.partition(b"\n")
        if self._dropped is None:
            if self._stamps.read(first.partition(b" ")[0]) is not None:
                return block
            self._dropped = first[:_LONGEST_SENTENCE]
        return others

    def _piece(self) -> LogLines | None:
        """What is there of a line that is too long to wait for its end; null where it is the rest of an older one."""
        data, self._rest = bytes(self._rest), bytearray()
        if self._inside:
            return LogLines(data=data, stamps=())
        stamp, _, text = data.partition(b" ")
        ns = self._stamps.read(stamp)
        if self._may_begin_inside and (ns is None or self._dropped is not None):
            self._dropped = self._dropped or data[:_LONGEST_SENTENCE]
            return None
        if ns is None:
            raise self._refusal(data)
        self._may_begin_inside, self._inside, self._dropped = False, True, None
        return LogLines(data=text, stamps=(ns,))

    def _refusal(self, line: bytes) -> LogUnavailable:
        sentence = line[:_LONGEST_SENTENCE].decode(errors="replace")
        return LogUnavailable(f"the cluster gave no log: {sentence}")


def _batch(stamps: list[int], texts: list[bytes]) -> LogLines:
    return LogLines(data=b"\n".join(texts) + b"\n", stamps=tuple(stamps))
