"""Lines that a search found, shown as grep shows them: for people on a terminal, as they are for programs."""

from __future__ import annotations

import re
from collections.abc import Callable

from spark_jobs.cli.output import NAME_WIDTH, cut
from spark_jobs.cli.text import clean
from spark_jobs.domain.search import FoundLine, LogMatch

_MARKED = "\x1b[1;31m", "\x1b[m"  # as grep marks what it found
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Matches:
    """Writes matches: ``ID:LINE:text``, and lines around them as ``ID-LINE-text``; ``ID/ATTEMPT`` but for the first one.

    On a terminal nothing in a line can move the cursor, and the job's name stands beside its id; else a line is what the
    container wrote. ``mark`` shows what was found in a line, ``timestamps`` puts each line's time before it.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        *,
        terminal: bool,
        timestamps: bool = False,
        mark: Callable[[str], str] = str,
        grouped: bool = False,
    ) -> None:
        self._write = write
        self._terminal = terminal
        self._timestamps = timestamps
        self._mark = mark
        self._grouped = grouped
        self._log: tuple[str, int] | None = None
        self._line = 0  # the last one that was written, of this log

    def show(self, match: LogMatch) -> None:
        """Write the match and the lines around it; ``--`` before it where it does not join what came last."""
        first = match.before[0] if match.before else match.found
        log = (match.job_id, match.attempt)
        if self._grouped and self._log is not None and (log, first.line) != (self._log, self._line + 1):
            self._write(b"--\n")
        head = self._head(match)
        lines = [(line, "-") for line in match.before] + [(match.found, ":")] + [(line, "-") for line in match.after]
        self._write(b"".join(self._shown(head, line, sign) for line, sign in lines))
        self._log, self._line = log, lines[-1][0].line

    def _head(self, match: LogMatch) -> str:
        which = match.job_id if match.attempt == 1 else f"{match.job_id}/{match.attempt}"
        name = f" ({clean(cut(match.name, NAME_WIDTH))})" if self._terminal and match.name else ""
        return which + name

    def _shown(self, head: str, line: FoundLine, sign: str) -> bytes:
        stamp = f"{line.time} " if self._timestamps and line.time else ""
        start = f"{head}{sign}{line.line}{sign}{stamp}".encode()
        if not self._terminal:
            return start + _raw(line) + b"\n"
        text = _safe(_raw(line).removesuffix(b"\r").decode(errors="backslashreplace"))
        return start + (self._mark(text) if sign == ":" else text).encode() + b"\n"


def marker(pattern: str, *, fixed: bool, ignore_case: bool) -> Callable[[str], str]:
    """Marks what was found, where the pattern is plain text; where it is more, only the server knows what it found."""
    if not fixed and _SPECIAL.search(pattern):
        return str
    plain = re.compile(re.escape(pattern), re.IGNORECASE if ignore_case else 0)
    begin, end = _MARKED
    return lambda text: plain.sub(lambda match: f"{begin}{match.group()}{end}", text)


def _raw(line: FoundLine) -> bytes:
    return line.text.encode() if line.text is not None else line.bytes or b""


def _safe(text: str) -> str:
    """The text so that a terminal only shows it; a tab does no harm."""
    return "\t".join(clean(part) for part in text.split("\t"))
