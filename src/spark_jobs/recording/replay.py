"""What a reconnect repeats, and how it is told from what is new."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import groupby

from spark_jobs.store.base import LogPoint

LAST_LINE_BYTES = 4096
_PIECE_BYTES = 16 * 1024  # a container runtime writes longer lines down in pieces, and rotation may come between them
_SPLIT_NS = 20_000_000  # a rotation splits a line within a millisecond, or a few on a busy node
_ASIDE_BYTES = 256 * 1024  # what a runtime holds on its way to an old file and a new one is a few KiB


class Runs:
    """Stamps in their order, equal neighbours together. The log API carries 70,000 lines a second; a program of this
    machine writes millions, many of them with one time."""

    def __init__(self) -> None:
        self.stamps = array("q")
        self.counts = array("q")

    def __len__(self) -> int:
        return len(self.stamps)

    def extend(self, stamps: Iterable[int], *, since: int) -> None:
        """Add those that are not before ``since``."""
        for stamp, equal in groupby(stamps):
            if stamp < since:
                continue
            count = sum(1 for _ in equal)
            if self.stamps and self.stamps[-1] == stamp:
                self.counts[-1] += count
            else:
                self.stamps.append(stamp)
                self.counts.append(count)

    def since(self, stamp: int) -> Runs:
        """Those that are not before it."""
        kept = Runs()
        for each, count in zip(self.stamps, self.counts, strict=True):
            if each >= stamp:
                kept.stamps.append(each)
                kept.counts.append(count)
        return kept


class Replay:
    """Drops from a stream what is stored already.

    The log API resumes at whole seconds, so a stream begins with lines that are stored: those of ``stored``, the stamps
    of the stored lines from that second on, in their order. They are dropped as long as the stamps agree. (A stream
    that begins anew within itself does so with older lines. They are dropped, too.) If the
    source no longer has the first of them (its file was rotated away), the stream begins somewhere in their middle.
    ``passed``: what comes now is new. ``verified``: the last stored line came by again, so nothing is missing between it
    and what follows; neither is true of a stream that was left before it came so far, which proves nothing. ``unknown``: the
    source has a line among those that is not stored, as after a follow that the node led astray at a rotation.

    Lines that are not stored, though older than the last that is, wait for what comes behind them. If that is stored,
    they are a hole, and stay one: what is stored is in order. If it is new, then they are, too: where a file is rotated, the
    last lines of the old one are written down, and get their times, beside the first of the new one.

    A rotation may split a line: the new file begins with the other half, as a line with a time of its own. A stream that
    ended by itself between the halves left the first without its newline, and goes on with the other if the two are as
    close in time as only halves are; else the stored half gets a newline. Where the line is stored as one, a line as close
    to it that is its end is its other half, and dropped. If that came before other stored lines, only the store can tell:
    ``rest`` is this line, and the stamp of the stored one behind it, until :meth:`settle_rest`.

    ``last_line_bytes``: how much of the last stored line is stored, where that is much. The rest of a long line that was
    rotated away in its middle looks like a line of its own, however late: then the first line of the stream is dropped.
    """

    def __init__(self, stored: Runs, point: LogPoint, *, last_line_bytes: int = 0) -> None:
        self.stored = stored
        self._point = point
        self._aside = bytearray()
        self._aside_stamps: list[int] = []
        self._since = point.since_ns or 0
        self._torn = last_line_bytes > _PIECE_BYTES
        self._in_rest = False
        self._run = self._used = 0  # where in ``stored`` the stream is
        self._known: frozenset[int] = frozenset()  # the stored stamps, once the stream was out of step
        self._mid_line = self._in_aside = False
        self._compared = False
        self._seen_bytes = 0
        self.passed = not stored
        self.verified = not stored
        self.unknown = False
        self.rest: tuple[bytes, int] | None = None

    def fresh(self, data: bytes, stamps: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The part of this batch that is not stored yet."""
        if self.passed:
            return data, stamps
        if self._in_rest:
            return self._after_rest(data, stamps)
        at = used = 0
        while at < len(data):
            begins = not self._mid_line
            if begins and self._is_new(stamps[used]):
                first = at == self._run == self._used == 0 and not self._aside
                goes_on = first and self._point.open_bytes > 0 and self._near_the_last(stamps)
                if first and self._torn and not goes_on:
                    return self._after_rest(data, stamps[1:])
                if not (goes_on and b"\n" not in data and len(data) <= _ASIDE_BYTES):
                    return self._after_gap(data[at:], stamps[used:])
                self._in_aside = True  # it may be cut off, so no more is known than that it goes on
            end = data.find(b"\n", at) + 1 or len(data)
            line = data[at:end]
            self._mid_line = not line.endswith(b"\n")
            if self._in_aside:
                self._put_aside(line, stamps[used : used + begins])
            used += begins
            if self._run == len(self.stored):
                kept = self._last_line(line)
                if kept is not None:
                    self.passed = True
                    return kept + data[end:], stamps[used:]
            at = end
        return b"", ()

    def _after_rest(self, data: bytes, stamps: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The stream begins with the rest of the last stored line, as far as can be told."""
        end = data.find(b"\n") + 1
        self._in_rest = not end
        if not end:
            return b"", ()
        self.passed = True
        return b"\n" * (self._point.open_bytes > 0) + data[end:], stamps

    def _after_gap(self, data: bytes, stamps: Sequence[int]) -> tuple[bytes, Sequence[int]]:
        """The last stored line did not come by, but for its other half, maybe. Where its newline is missing, it gets one."""
        self.passed = True
        data, stamps = bytes(self._aside) + data, [*self._aside_stamps, *stamps]
        if not self._near_the_last(stamps):
            return b"\n" * (self._point.open_bytes > 0) + data, stamps
        end = data.find(b"\n") + 1 or len(data)
        if self._is_stored_half(data[:end]):
            return data[end:], stamps[1:]
        return data, stamps if self._point.open_bytes == 0 else stamps[1:]

    def _near_the_last(self, stamps: Sequence[int]) -> bool:
        """Whether the first of the lines with these stamps, none of which is stored, may be one half of the last that is."""
        return self._run == self._used == 0 and abs(stamps[0] - self.stored.stamps[-1]) < _SPLIT_NS

    def _is_stored_half(self, line: bytes) -> bool:
        """Whether this line, or what there is of it yet, is stored as the end of the last one."""
        known, text = self._point.last_line, line.removesuffix(b"\n")
        if len(known) == LAST_LINE_BYTES or not 0 < len(text) < len(known):
            return False
        if text == line:
            return text in known
        return self._point.open_bytes == 0 and known.endswith(text)

    @property
    def waiting(self) -> int:
        """Bytes of lines that wait for what comes behind them."""
        return 0 if self.passed else len(self._aside)

    def at_end(self) -> tuple[bytes, Sequence[int]]:
        """The source has no more: what still waits is new."""
        return (b"", ()) if self.passed or not self._aside else self._after_gap(b"", ())

    @property
    def place(self) -> int:
        """The byte at which the stored log ended when the stream began."""
        return self._point.bytes

    @property
    def reached(self) -> bool:
        """Whether the whole last stored line came by, whatever followed. One without its newline may still go on."""
        return self.verified and (self.passed or 0 < self._point.open_bytes <= self._seen_bytes)

    def _is_new(self, stamp: int) -> bool:
        """Whether the line that begins here is, and all behind it. One that is neither new nor stored is put aside."""
        self._in_aside = False
        if self._run == len(self.stored):
            return True
        if stamp < self._since:
            return False
        if self.stored.stamps[self._run] != stamp and not self._go_on_at(stamp):
            self._in_aside = stamp < (self._point.stamp_ns or 0)
            return not self._in_aside
        self._look_at_aside(stamp)
        self._used += 1
        if self._used == self.stored.counts[self._run]:
            self._run, self._used = self._run + 1, 0
        return False

    def _put_aside(self, line: bytes, stamps: Sequence[int]) -> None:
        self._aside += line
        self._aside_stamps += stamps
        self.unknown = self.unknown or self._run > 0 or self._used > 0 or len(self._aside) > _ASIDE_BYTES
        if self.unknown:
            self._forget_aside()

    def _look_at_aside(self, stamp: int) -> None:
        """A stored line of this stamp came by: what waits is older, and not stored."""
        before = self.stored.stamps[self._run - 1] if self._run else 0
        if len(self._aside_stamps) == 1 and abs(self._aside_stamps[0] - before) < _SPLIT_NS:
            self.rest = bytes(self._aside), stamp
        else:
            self.unknown = self.unknown or bool(self._aside)
        self._forget_aside()

    def settle_rest(self, *, is_half: bool) -> None:
        """Take what the store says of ``rest``: ``is_half`` of a stored line, or not stored, and so a hole."""
        self.rest = None
        self.unknown = self.unknown or not is_half

    def _forget_aside(self) -> None:
        self._aside.clear()
        self._aside_stamps.clear()

    def _go_on_at(self, stamp: int) -> bool:
        """The stream is out of step: a file may begin anywhere, in the midst of lines of one time, too. Whether this stamp is
        among those that are still to come by."""
        self._known = self._known or frozenset(self.stored.stamps)
        if stamp not in self._known:
            return False
        try:
            self._run = self.stored.stamps.index(stamp, self._run)
        except ValueError:
            return False
        self._used = 0
        return True

    def _last_line(self, piece: bytes) -> bytes | None:
        """The last stored line comes by, maybe in several pieces: compare it; the part of it that was not stored yet,
        null while it goes on."""
        if not self._compared:
            self._compared = True
            self.verified = self._is_last(piece)
        self._seen_bytes += len(piece)
        stored = self._point.open_bytes
        if stored == 0 or self._seen_bytes <= stored:
            return b"" if piece.endswith(b"\n") else None
        return piece[len(piece) - (self._seen_bytes - stored) :]

    def _is_last(self, piece: bytes) -> bool:
        """Whether the text of this line, or what there is of it yet, is that of the last stored one."""
        known, text = self._point.last_line, piece.removesuffix(b"\n")[:LAST_LINE_BYTES]
        size = min(len(known), len(text))
        whole = len(text) >= len(known) if self._point.open_bytes else len(text) == len(known)
        return text[:size] == known[:size] and (whole or not piece.endswith(b"\n"))
