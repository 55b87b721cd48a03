"""Child processes that end when we do: on a signal they are asked to stop, given time, then killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

GRACE = 20.0  # seconds between asking a child to stop and killing it


def exit_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit(128 + number), so that `finally` blocks run."""

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


@contextmanager
def shielded() -> Iterator[None]:
    """Ignore signals meanwhile: cleaning up is not to be cut short by a second Ctrl-C."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, capture: bool = False) -> tuple[int, str]:
    """Run a program to its end; returns its exit code, and its stdout if `capture` (else that goes to ours)."""
    stdout = subprocess.PIPE if capture else None
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=stdout, text=True) as child:
        try:
            output, _ = child.communicate()
        except BaseException:
            stop(child)
            raise
    return child.returncode, output or ""


def stop(child: subprocess.Popen[str]) -> int:
    """Ask the child to stop, wait GRACE seconds, kill it if it is still there; returns its exit code."""
    with shielded():
        if child.poll() is None:
            child.terminate()
        try:
            return child.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()
