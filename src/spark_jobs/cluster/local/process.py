"""One process in its own session, from its start until nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import threading

from spark_jobs.cluster.local import family
from spark_jobs.cluster.local.plan import MARKER, Plan

SIGNALLED = 128
"""A program that was ended by signal n has the exit code 128 + n."""


class OwnProcess:
    """Its methods may be called from any thread. ``output`` is the descriptor of its stdout and stderr, one stream."""

    def __init__(self, plan: Plan) -> None:
        """Start it.

        Raises:
            OSError, ValueError: it can't be started.
        """
        self._lock = threading.Lock()
        self._reaped = False
        self._mark = f"{MARKER}={plan.env[MARKER]}"
        self.output, output_end = os.pipe()
        try:
            self._popen = subprocess.Popen(
                plan.argv,
                stdin=subprocess.DEVNULL,
                stdout=output_end,
                stderr=subprocess.STDOUT,
                cwd=plan.folder,
                env=plan.env,
                start_new_session=True,
            )
        except BaseException:
            os.close(self.output)
            raise
        finally:
            os.close(output_end)

    @property
    def pid(self) -> int:
        """Its number, and that of its session and process group."""
        return self._popen.pid

    def signal(self, number: int) -> bool:
        """Signal its process group; false, and nothing happens, if it has ended already."""
        with self._lock:
            if self._reaped or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return False
            family.signal_group(self.pid, number)
            return True

    def wait(self) -> None:
        """Until it has ended. It stays a zombie, so that its number is not given away."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def sweep(self) -> int:
        """End what it has left behind, and let go of it; its exit code. To be called after :meth:`wait`."""
        family.end_family(self._mark, leader=self.pid)
        with self._lock:
            code = self._popen.wait()
            self._reaped = True
        return code if code >= 0 else SIGNALLED - code

    def close(self) -> None:
        """Close our end of its output."""
        os.close(self.output)

    def kill(self) -> None:
        """Kill it and all that it has left behind, and wait for that."""
        self.signal(signal.SIGKILL)
        try:
            self.wait()
        except ChildProcessError:
            return  # it has ended by itself, and was swept after
        self.sweep()

    def abandon(self) -> None:
        """Kill it: it should never have been started."""
        self.kill()
        self.close()
