"""Why a log may not be stored whole: in words for users, and what state of the log follows from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from spark_jobs.domain.attempt import AttemptChanges
from spark_jobs.domain.job import LogState

_PLACE = "after byte "
_HOLE = "before byte "
_BEHIND = "behind: from byte "


class Doubt(msgspec.Struct, frozen=True):
    """``text`` is the log's problem; ``missing``: something is missing for certain, else nobody can tell. ``behind_from``:
    the byte from which on reading did not keep up, where that is all there is to doubt."""

    text: str
    missing: bool = False
    behind_from: int | None = None

    @property
    def state(self) -> LogState:
        """The state of a log that ends with this doubt."""
        return LogState.INCOMPLETE if self.missing else LogState.UNVERIFIED


def missing_after(byte: int, cause: str) -> Doubt:
    """What follows this byte of the stored log is not there."""
    return Doubt(f"{_PLACE}{byte}: {cause}", missing=True)


def hole_before(byte: int) -> Doubt:
    """When read again, the source had a line among the stored ones that is not stored."""
    return Doubt(f"{_HOLE}{byte}: the node kept a line that did not come when the log was followed", missing=True)


def read_once_to(byte: int, cause: str) -> Doubt:
    """What seemed to be the log's end could not be read again, to be sure of it."""
    return Doubt(f"read to byte {byte}, and whether that is the end could not be made sure: {cause}")


def longer_than_the_cap(byte: int) -> Doubt:
    """The attempt wrote more than is kept of one."""
    return missing_after(byte, "longer than the log cap")


def rotated_before(byte: int) -> Doubt:
    """The place where reading went on no longer had the last stored line."""
    return Doubt(f"rotated: when read again before byte {byte}, the last stored line was gone")


def passed_over(byte: int) -> Doubt:
    """One stream began to give lines again that are stored from this byte on."""
    return Doubt(
        f"rotated: the node gave the lines from byte {byte} on twice, and may have passed over files before that"
    )


def behind(byte: int) -> Doubt:
    """Reading did not keep up from this byte on."""
    text = f"{_BEHIND}{byte} on the log came faster than it could be read, and a rotated file may have been passed over"
    return Doubt(text, behind_from=byte)


def remembered(text: str | None) -> Doubt | None:
    """What was written down before a restart."""
    if text is None:
        return None
    if text.startswith(_BEHIND):
        return behind(int(text.removeprefix(_BEHIND).partition(" ")[0]))
    return Doubt(text, missing=text.startswith((_PLACE, _HOLE)))


def with_known_doubt(settled: AttemptChanges, problem: str | None) -> AttemptChanges:
    """What settles a log as complete, unless a problem was written down of it that reading can't dispel: by a store that
    has lost some of it, of which whoever read it does not know."""
    known = remembered(problem)
    if known is None or known.behind_from is not None:
        return settled
    return msgspec.structs.replace(settled, log_state=known.state, log_problem=known.text)


def worse(known: Doubt | None, new: Doubt | None) -> Doubt | None:
    """Of two doubts the one to tell: what is missing for certain, else what can't be dispelled, else the first."""
    if known is None or (new is not None and _weight(new) > _weight(known)):
        return new
    return known


class Doubts:
    """What there is to doubt of one log, written down before anything is stored that would hide it: a restart must not
    forget it. ``write`` raises StoreUnavailable."""

    def __init__(self, written: str | None, write: Callable[[str], Awaitable[object]]) -> None:
        self._write = write
        self._written = self.worst = remembered(written)

    async def add(self, doubt: Doubt | None) -> None:
        """One more, if there is one. What could not be written is tried again with the next. Raises StoreUnavailable."""
        self.consider(doubt)
        if self.worst is not None and self.worst != self._written:
            await self._write(self.worst.text)
            self._written = self.worst

    def consider(self, doubt: Doubt | None) -> None:
        """One more, if there is one, that is written with the log's end."""
        self.worst = worse(self.worst, doubt)

    def dispel(self) -> None:
        """There is none any more."""
        self.worst = None


def _weight(doubt: Doubt) -> int:
    return 2 if doubt.missing else 1 if doubt.behind_from is None else 0
