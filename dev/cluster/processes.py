"""Starts processes that outlive us, and finds them again by process id and start time."""

import json
import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

_TERM_SECONDS = 10.0
_KILL_SECONDS = 10.0


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it is gone, or ended and not yet reaped."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything, blanks and parentheses included.
    fields = status.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """The processes of one cluster, by part, as recorded in a file."""

    def __init__(self, record: Path) -> None:
        self._record = record

    def names(self) -> list[str]:
        """The parts that were started and not stopped, in that order, whether or not they still run."""
        return list(self._load())

    def alive(self, name: str) -> bool:
        """Whether the process that was started for the part still runs."""
        entry = self._load().get(name)
        return entry is not None and start_time(entry[0]) == entry[1]

    def pid(self, name: str) -> int | None:
        """The process id of the part, None if it does not run."""
        entry = self._load().get(name)
        return entry[0] if entry is not None and start_time(entry[0]) == entry[1] else None

    def start(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        """Starts it in a session of its own; both outputs are appended to `log`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawn(
            "/bin/sh",
            # The shell only leaves our working folder, which may be a temporary one.
            ["sh", "-c", 'cd / && exec "$@"', "sh", *command],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
        )
        self._save({**self._load(), name: (pid, start_time(pid) or 0)})

    def stop(self, name: str, *, kill: bool = False) -> bool:
        """Stops the part with TERM, or KILL at once or after a grace, and waits for its end. False if it did not run."""
        entry = self._load().get(name)
        stopped = entry is not None and end_process(*entry, kill=kill)
        self._save({part: entry for part, entry in self._load().items() if part != name})
        return stopped

    def _load(self) -> dict[str, tuple[int, int]]:
        try:
            entries = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {name: (int(pid), int(started)) for name, (pid, started) in entries.items()}

    def _save(self, entries: Mapping[str, tuple[int, int]]) -> None:
        if not self._record.parent.is_dir():
            return
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps(entries), encoding="utf-8")
        fresh.replace(self._record)


def end_process(pid: int, started: int, *, kill: bool) -> bool:
    """Ends the process if it is still the one that started then. False if it is not."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:
            return False
        if kill or not _signal_and_wait(handle, signal.SIGTERM, _TERM_SECONDS):
            _signal_and_wait(handle, signal.SIGKILL, _KILL_SECONDS)
        return True
    finally:
        os.close(handle)
        _reap(pid)


def _signal_and_wait(handle: int, which: signal.Signals, seconds: float) -> bool:
    try:
        signal.pidfd_send_signal(handle, which)
    except ProcessLookupError:
        return True
    end = select.poll()
    end.register(handle, select.POLLIN)
    return bool(end.poll(seconds * 1000))


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # Not started by this very process, so nothing of it is left to collect here.
