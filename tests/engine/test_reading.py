"""A log that a node rotates, read by streams that end, break off and are cut anywhere, with restarts between them: nothing
is stored twice, a log that counts as complete is whole, and one that is whole never counts as incomplete (invariant 6)."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from spark_jobs.app.core import utc_now
from spark_jobs.bus import Bus
from spark_jobs.cluster.base import LogLines
from spark_jobs.cluster.kubernetes.logs import LogCutter
from spark_jobs.domain.attempt import AttemptKey
from spark_jobs.domain.errors import ClusterUnavailable, LogUnavailable
from spark_jobs.engine.caps import Keeper
from spark_jobs.engine.doubt import Doubt, Doubts, rotated_before
from spark_jobs.engine.ending import Ending
from spark_jobs.engine.reading import Reading
from spark_jobs.logs import LogBook
from spark_jobs.store.sql.store import SqlStore

KEY = AttemptKey("job", 1)
SECOND, MS = 1_000_000_000, 1_000_000
BEGINNING = 1_800_000_000 * SECOND
SEEDS = range(250)


class Message(NamedTuple):
    """What a runtime writes down at once: a line, or a piece of one, with its time. ``file``: the number of its file."""

    stamp: int
    data: bytes
    file: int


class Program(NamedTuple):
    """What may become of the lines that a program writes: each a chance from 0 to 1."""

    in_pieces: float = 0.0
    late: float = 0.2  # written behind a newer one, as of two streams
    rotated: float = 0.0  # between it and the next, or in the midst of it
    split: float = 0.0  # of those that are rotated: in the midst


class Node:
    """The files of one log, and how a kubelet gives them: the newest, each message that is not before a second."""

    def __init__(self, program: Program, chance: random.Random) -> None:
        self.messages: list[Message] = []
        self.lines: list[bytes] = []
        self._now = self._rotated_at = BEGINNING
        self._chance = chance
        for number in range(chance.randint(3, 14)):
            self._write(b"%03d " % number + bytes(chance.choices(b"abcdefgh", k=chance.randint(0, 8))) + b"\n", program)
        if chance.random() < 0.2:
            self.lines[-1] = self.lines[-1].removesuffix(b"\n")
            last = self.messages[-1]
            self.messages[-1] = last._replace(data=last.data.removesuffix(b"\n"))
        self.written = b"".join(self.lines)

    @property
    def first_file(self) -> int:
        """How many messages are in it."""
        return sum(message.file == 0 for message in self.messages)

    def read(self, since_ns: int | None, opened: int, until: int) -> bytes:
        """What a stream gives that is opened when there are so many messages, and ends when there are so many."""
        newest = self.messages[opened - 1].file
        out, line_begins = bytearray(), True
        for stamp, data, file in self.messages[:until]:
            if file < newest:
                continue
            if stamp >= (since_ns or 0):
                out += (as_time(stamp) if line_begins else b"") + data
            line_begins = data.endswith(b"\n")
        return bytes(out)

    def _write(self, line: bytes, program: Program) -> None:
        chance, file = self._chance, self.messages[-1].file if self.messages else 0
        self._now += chance.choice([1000, MS, 50 * MS, 400 * MS, 1300 * MS]) + chance.randint(1, 900)
        late = chance.random() < program.late and self._now - self._rotated_at > 50 * MS
        stamp = self._now - 3 * MS * late
        cut = chance.randint(1, len(line) - 2)
        may_rotate = self._now - self._rotated_at > 3 * SECOND  # a kubelet looks no more often
        if may_rotate and chance.random() < program.rotated:
            self._rotated_at = self._now
            if chance.random() < program.split:
                other = self._now + chance.choice([-200_000, 150_000]) + chance.randint(1, 900)
                self.messages += [Message(self._now, line[:cut], file), Message(other, line[cut:], file + 1)]
                self._now = max(self._now, other)
            else:
                self._now += 50 * MS
                self.messages.append(Message(self._now, line, file + 1))
        elif chance.random() < program.in_pieces:
            self.messages.append(Message(stamp, line[:cut], file))
            self._now += chance.choice([1000, 3 * MS, 600 * MS])
            self.messages.append(Message(self._now, line[cut:], file))
        else:
            self.messages.append(Message(stamp, line, file))
        self.lines.append(line)


def as_time(ns: int) -> bytes:
    whole = datetime.fromtimestamp(ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    return whole + b".%09dZ " % (ns % SECOND)


class Streams(NamedTuple):
    """How streams end, each a chance: broken off at any byte; ended at any byte as if it were the end; the same for the reads
    after the container's end. ``restarts``: that the next one is read by a new process."""

    broken: float = 0.3
    ended_early: float = 0.0
    read_short: float = 0.0
    restarts: float = 0.3


class Reader:
    """Reads a node's log through one store, by one process after another."""

    def __init__(self, node: Node, store: SqlStore, streams: Streams, chance: random.Random) -> None:
        self.node, self.store, self.streams, self.chance = node, store, streams, chance
        self.row: str | None = None

    async def begin(self) -> None:
        """A process begins, and knows what is stored."""
        recorder = await LogBook(self.store, Bus()).recorder(KEY)
        self.keeper = Keeper(recorder, log_cap=1 << 40, line_cap=1 << 40)
        self.doubts = Doubts(self.row, self.write_doubt)
        self.reading = Reading(
            self.open,
            self.keeper,
            self.doubts,
            asyncio.Event(),
            wall=lambda: utc_now().timestamp(),
            counted=lambda _bytes: None,
        )

    async def write_doubt(self, text: str) -> None:
        self.row = text

    async def open(self, *, since_ns: int | None, follow: bool) -> AsyncGenerator[LogLines]:
        opened, until = self.at if follow else (len(self.node.messages),) * 2
        data, chance = self.node.read(since_ns, opened, until), self.chance
        first = follow and since_ns is None  # what was rotated away before anything was read is not known of
        breaks = follow and chance.random() < self.streams.broken and not first
        early = chance.random() < (self.streams.ended_early if follow else self.streams.read_short) and not first
        if breaks or early:
            data = data[: chance.randint(0, len(data))].removesuffix(b"\n")  # one cut at a line's end looks whole
        cutter, at = LogCutter(resumed=since_ns is not None), 0
        while at < len(data):
            size = chance.randint(1, len(data) - at)
            for lines in cutter.feed(data[at : at + size]):
                yield lines
            at += size
        if breaks:
            raise ClusterUnavailable("connection reset")
        for lines in cutter.end():
            yield lines

    async def follow(self) -> None:
        """Some streams while the container runs, which begin when its first file is there."""
        until = self.chance.randint(1, self.node.first_file)
        for _ in range(self.chance.randint(1, 4)):
            opened = until
            until = self.chance.randint(opened, len(self.node.messages))
            self.at = opened, until
            try:
                await self.reading.once(follow=True)
            except (ClusterUnavailable, LogUnavailable):
                await self.keeper.flush()  # as happens twice a second
            until = self.chance.randint(until, len(self.node.messages))  # nobody reads for a while
            if self.chance.random() < self.streams.restarts:
                await self.begin()

    async def read_to_the_end(self) -> Doubt | None:
        """The reads when the container is over; what there is to doubt in the end."""
        ending = Ending(10.0, lambda: 0.0)
        for _ in range(40):
            try:
                if ending.reached(await self.reading.once(follow=False)):
                    break
            except LogUnavailable:
                continue
        else:
            self.doubts.consider(rotated_before(self.keeper.stored.bytes))
        await self.keeper.finish(sure=self.doubts.worst is None)
        return self.doubts.worst


async def stored_of(node: Node, streams: Streams, chance: random.Random) -> tuple[bytes, Doubt | None]:
    """What is stored of a node's log, and what there is to doubt."""
    store = SqlStore(None, clock=utc_now)
    await store.open()
    try:
        reader = Reader(node, store, streams, chance)
        await reader.begin()
        await reader.follow()
        doubt = await reader.read_to_the_end()
        chunks = [chunk async for chunk in store.log_read(KEY)]
        point = await store.log_point(KEY)
    finally:
        await store.close()
    data = b"".join(chunk.data for chunk in chunks)
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    assert (point.bytes, point.lines) == (len(data), lines) == (len(data), sum(len(chunk.stamps) for chunk in chunks))
    return data, doubt


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param(Streams(), id="broken off"),
        pytest.param(Streams(ended_early=0.5), id="ended early"),
        pytest.param(Streams(read_short=0.5), id="the last reads cut short"),
    ],
)
async def test_what_is_not_rotated_is_stored_whole(streams: Streams) -> None:
    for seed in SEEDS:
        chance = random.Random(seed)
        node = Node(Program(in_pieces=0.15), chance)
        data, doubt = await stored_of(node, streams, chance)
        assert data == node.written, f"seed {seed}"
        assert doubt is None or (streams.read_short and not doubt.missing), f"seed {seed}"


@pytest.mark.parametrize(
    ("program", "streams"),
    [
        pytest.param(Program(rotated=0.5), Streams(), id="between lines"),
        pytest.param(Program(rotated=0.5), Streams(ended_early=0.5), id="between lines, streams ended early"),
        pytest.param(Program(rotated=0.5, split=0.7), Streams(), id="in lines"),
        pytest.param(Program(rotated=0.5, split=0.7, late=0), Streams(), id="in lines of one stream"),
        pytest.param(Program(rotated=0.5, split=0.7), Streams(read_short=0.5), id="in lines, the last reads cut short"),
    ],
)
async def test_what_is_rotated_is_stored_once_and_never_called_what_it_is_not(
    program: Program, streams: Streams
) -> None:
    ends = dict.fromkeys(("complete", "unverified", "incomplete"), 0)
    for seed in SEEDS:
        chance = random.Random(seed)
        node = Node(program, chance)
        data, doubt = await stored_of(node, streams, chance)
        ends[doubt.state.value if doubt else "complete"] += 1
        assert doubt is not None or data == node.written, f"seed {seed}: complete, and not whole"
        assert data != node.written or doubt is None or not doubt.missing, f"seed {seed}: whole, and called incomplete"
        assert not wrong(data, node), f"seed {seed}"
    assert ends["complete"] > 20
    assert ends["unverified"] > 20


def wrong(data: bytes, node: Node) -> list[bytes]:
    """Stored lines that are no line of the program, nor a part of one that is not there whole, or that are there twice."""
    kept = data.splitlines(keepends=True)
    whole = [line for line in kept if line in node.lines]
    parts = {part for line in node.lines if line not in whole for part in halves(line)}
    return [line for line in kept if line not in whole and line not in parts] + [
        line for line, count in itertools.groupby(sorted(whole)) if len(list(count)) > 1
    ]


def halves(line: bytes) -> set[bytes]:
    """What a line may be stored as where it was cut: its beginning, or what a rotation left of it."""
    text = line.removesuffix(b"\n")
    ends = {text[at:] for at in range(len(text) + 1)}
    return {part + end for part in {text[:at] for at in range(len(text) + 1)} | ends for end in (b"", b"\n")}
