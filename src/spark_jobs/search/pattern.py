"""What is looked for, ready to be matched: RE2, whose time is linear in what it looks through, whatever the pattern."""

from __future__ import annotations

import re
from typing import NoReturn

import re2  # type: ignore[import-untyped]  # has no types

from spark_jobs.domain.errors import Fault, InvalidSpec

LONGEST_PATTERN = 4096
"""Bytes of UTF-8."""

_WITHIN_LINES = b"(?m)"
_MEMORY = 4 * 1024 * 1024  # bytes for a pattern and its automata; where they do not suffice, RE2 gets slower
_LONGEST_WORDS = 200  # characters
_LARGEST_PROGRAM = 5000  # RE2's instructions: the slowest pattern so large looks through some 100 KB a second

# What begins or ends the text, or takes bytes instead of characters: a line is not the text that is looked at.
_OF_THE_TEXT = re.compile(r"\\(?:(?P<escape>[AzC])|.)|\(\?(?P<flag>[a-zA-Z]*-[a-zA-Z]*m)", re.DOTALL)


class Pattern:
    """A pattern that matches within lines, and never beyond one."""

    def __init__(self, text: str, *, fixed: bool = False, ignore_case: bool = False) -> None:
        """Raises InvalidSpec, with the fault at ``pattern``."""
        raw = _checked(text, fixed=fixed)
        options = re2.Options()
        options.max_mem = _MEMORY
        options.case_sensitive = not ignore_case
        options.never_nl = True
        options.never_capture = True
        options.log_errors = False
        try:
            self._regexp = re2.compile(_WITHIN_LINES + (re2.escape(raw) if fixed else raw), options)
        except re2.error as error:
            _refuse(
                f'is not a regular expression: RE2 says "{_words(error)}"; with `fixed` (`spark grep -F`) it is plain text'
            )
        finally:
            re2.purge()  # it would keep the last hundred for ever
        if self._regexp.programsize > _LARGEST_PROGRAM:
            _refuse(f"takes too much: {self._regexp.programsize} instructions of {_LARGEST_PROGRAM}; make it simpler")

    def find(self, text: bytes, begin: int, end: int) -> int | None:
        """Where in ``text[begin:end]`` the first match begins; null for none. What lies around that part counts for
        ``^``, ``$`` and ``\\b``."""
        found = self._regexp.search(text, begin, end)
        return None if found is None else found.start()


def _checked(text: str, *, fixed: bool) -> bytes:
    try:
        raw = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        _refuse("must be text: it holds half of a character")
    if not raw:
        _refuse("must not be empty: it would match every line")
    if len(raw) > LONGEST_PATTERN:
        _refuse(f"is {len(raw)} bytes long; at most {LONGEST_PATTERN} are taken")
    if "\n" in text:
        _refuse("must not hold a newline: it matches within a line")
    if not fixed and (found := next((each for each in _OF_THE_TEXT.finditer(text) if each.lastgroup), None)):
        _refuse(f"must not hold `{found.group()}`: it matches within a line, which begins at `^` and ends at `$`")
    return raw


def _words(error: Exception) -> str:
    """What RE2 said, which may end with the part of the pattern that it means."""
    (said,) = error.args
    text = bytes(said).replace(b": " + _WITHIN_LINES, b": ").decode(errors="replace")
    return text if len(text) <= _LONGEST_WORDS else text[:_LONGEST_WORDS] + "…"


def _refuse(detail: str) -> NoReturn:
    raise InvalidSpec([Fault("pattern", detail, "invalid")])
