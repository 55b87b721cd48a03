"""`make demo`: a server with the local cluster in a temporary folder, one job, its state; leaves nothing behind."""

import ctypes
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from dev import processes

SPARK = str(Path(sys.executable).parent / "spark")
READY_WITHIN = 60.0  # seconds
LEFT_WITHIN = 5.0  # seconds that processes have to end after the server
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def free_port() -> int:
    """A port on loopback that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """Ours without Spark's own settings; the server's address and token are kept below `folder`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    return {**clean, "XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}


def adopt_orphans() -> None:
    """On Linux a process that loses its parent below us becomes our child, so that none can hide; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def left_behind() -> list[int]:
    """Ids of processes below us that are still running, after a short time to end; ours is to have none."""
    deadline = time.monotonic() + LEFT_WITHIN
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return []
        if pid == 0 and time.monotonic() > deadline:
            return _children()
        if pid == 0:
            time.sleep(0.05)


def _children() -> list[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(word) for word in path.read_text(encoding="ascii").split()] if path.is_file() else [-1]


def wait_until_ready(server: subprocess.Popen[str], url: str) -> None:
    """Ask /readyz until it says 200; SystemExit if the server ends or is not ready within READY_WITHIN."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"demo: the server ended with exit code {server.returncode}; its last words are above")
        try:
            with opener.open(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise SystemExit(f"demo: the server was not ready within {READY_WITHIN:g} s")


def show(*arguments: str) -> None:
    """Show a command of a user, with `spark` by its name."""
    print(f"$ spark {shlex.join(arguments)}", flush=True)


def run_job(url: str, env: dict[str, str]) -> dict[str, object]:
    """What a user would type; returns the job as `spark get` shows it. SystemExit if a command fails."""
    run = ("run", "--server", url, "--image", "busybox:1", "--", "echo", "Hello World")
    get = ("get", "--server", url, "@latest", "-o", "json")
    show(*run)
    code, _ = processes.run([SPARK, *run], env=env)
    if code != 0:
        raise SystemExit(f"demo: spark run ended with exit code {code}")
    show(*get)
    code, output = processes.run([SPARK, *get], env=env, capture=True)
    if code != 0:
        raise SystemExit(f"demo: spark get ended with exit code {code}")
    job: dict[str, object] = json.loads(output)
    return job


def main() -> int:
    """`python -m dev.demo`."""
    processes.exit_on_signals()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="spark-demo-") as name:
        folder = Path(name)
        port = free_port()
        arguments = ("dev", "--port", str(port), "--grpc-port", "none", "--data-dir", str(folder / "data"))
        env = environment(folder)
        show(*arguments, "&")
        url = f"http://127.0.0.1:{port}"
        with (folder / "server.log").open("w", encoding="utf-8") as log:
            server = subprocess.Popen(
                [SPARK, *arguments], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
            )
        try:
            wait_until_ready(server, url)
            job = run_job(url, env)
        except SystemExit:
            print((folder / "server.log").read_text(encoding="utf-8"), file=sys.stderr)
            raise
        finally:
            processes.stop(server)
    left = left_behind()
    if left:
        raise SystemExit(f"demo: processes are left behind: {left}")
    print(f"demo: job {job['id']}: {job['state']}, exit code {job['exit_code']}; server stopped, no process left")
    return 0 if (job["state"], job["exit_code"]) == ("SUCCEEDED", 0) else 1


if __name__ == "__main__":
    sys.exit(main())
