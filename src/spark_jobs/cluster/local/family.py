"""Finding and ending the processes of one attempt: its session, and whatever has left it but carries its mark."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.5


class _Stat(NamedTuple):
    """Fields of /proc/PID/stat; ``started`` counts clock ticks since the machine's start."""

    state: str
    session: int
    started: int


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same number; null if there is no such process."""
    if not has_proc():
        # The only other way that works on every Unix.
        shown = subprocess.run(
            ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return shown.stdout.strip() or None
    found = _stat(pid)
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None if found is None or found.state == "Z" else f"{boot}/{found.started}"


def has_proc() -> bool:
    """Whether processes can be looked at as files (Linux)."""
    return (_PROC / "self/stat").exists()


def signal_group(leader: int, number: int) -> None:
    """Signal the process group of ``leader``, if it still has members that may be signalled."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_family(mark: str, *, leader: int | None = None) -> None:
    """Kill all processes in the session of ``leader`` or with ``mark`` (``NAME=value``) in the environment they were
    started with; returns when none is left. ``leader`` must be known to be ours, running or not yet reaped.

    Without /proc only the leader's process group is killed.
    """
    if leader is not None:
        signal_group(leader, signal.SIGKILL)
    if not has_proc():
        return
    pause = _FIRST_PAUSE
    while _kill_all(mark, leader):
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _kill_all(mark: str, leader: int | None) -> bool:
    """Kill what is there now; whether there was anything."""
    killed = False
    first = None if leader is None else _stat(leader)
    since = 0 if first is None else first.started
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and _belongs(int(entry.name), mark, leader, since):
            _kill(int(entry.name), mark, leader, since)
            killed = True
    return killed


def _kill(pid: int, mark: str, leader: int | None, since: int) -> None:
    """Kill this process, and no other that got its number since it was found."""
    with suppress(ProcessLookupError, PermissionError):
        handle = os.pidfd_open(pid)
        try:
            if _belongs(pid, mark, leader, since):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _belongs(pid: int, mark: str, leader: int | None, since: int) -> bool:
    found = _stat(pid)
    if found is None or found.state in "ZX" or found.started < since:
        return False
    return found.session == leader or _has_mark(pid, mark)


def _has_mark(pid: int, mark: str) -> bool:
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return mark.encode(errors="surrogateescape") in environment.split(b"\0")


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name in parentheses, which may hold anything.
    fields = text[text.rindex(b")") + 2 :].split()
    return _Stat(state=fields[0].decode(), session=int(fields[3]), started=int(fields[19]))
