"""What a command that waits shows: the log on stdout, notes on stderr, and one status line where a person looks on."""

from __future__ import annotations

import shutil
import sys
from typing import BinaryIO, TextIO

from spark_jobs.cli.text import clean


class Screen:
    """Keeps the three apart. The status line is only there while both streams are terminals; nothing else is lost."""

    def __init__(self, *, quiet: bool = False, out: BinaryIO | None = None, err: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout.buffer
        self._err = err if err is not None else sys.stderr
        self._quiet = quiet
        both = self._err.isatty() and self._out.isatty()
        self.live = both and not quiet
        self._shared = both  # what is written to one of them moves the other's cursor
        self._line_start = True
        self._shown = ""

    def output(self, data: bytes) -> None:
        """Write a piece of the log, as it is."""
        self._clear()
        self._out.write(data)
        self._out.flush()
        self._line_start = data.endswith(b"\n")

    def note(self, text: str) -> None:
        """Say something about what goes on, unless quiet."""
        if not self._quiet:
            self.say(text)

    def say(self, text: str) -> None:
        """Say something that matters, even when quiet."""
        self._clear()
        if self._shared and not self._line_start:
            self._tell("\n")
            self._line_start = True
        self._tell(f"spark: {clean(text)}\n")

    def status(self, text: str) -> None:
        """Show this below what was printed until something else is; only at the start of a line."""
        if not self.live or not self._line_start:
            return
        line = clean(text)[: max(10, shutil.get_terminal_size().columns - 1)]
        if line != self._shown:
            self._tell(f"\r\x1b[K{line}")
            self._shown = line

    def close(self) -> None:
        """Take the status line away."""
        self._clear()

    def _clear(self) -> None:
        if self._shown:
            self._tell("\r\x1b[K")
            self._shown = ""

    def _tell(self, text: str) -> None:
        try:
            self._err.write(text)
            self._err.flush()
        except OSError:
            self._quiet, self.live = True, False  # the terminal is gone; what goes on must not depend on it
