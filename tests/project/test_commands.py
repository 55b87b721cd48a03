"""The commands under dev/: what they say, and that nothing of theirs outlives them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from dev import demo, docs, processes
from dev import test as test_command


def test_the_last_lines_say_what_ran_and_what_did_not() -> None:
    report = {"ran": {"unit": 40, "api": 2}, "not_run": {"chromium": [3, "no Chromium found"]}}
    assert test_command.summary(json.dumps(report)).splitlines() == [
        "ran: api 2, unit 40",
        "not run: 3 tests that need chromium: no Chromium found",
    ]
    assert test_command.summary('{"ran": {"unit": 1}, "not_run": {}}').endswith("not run: nothing")
    assert "pytest ended before" in test_command.summary("")


def test_a_generated_page_is_stale_until_it_is_written(tmp_path: Path) -> None:
    pages = {"reference/states.md": lambda: "# States\n"}
    assert docs.stale(tmp_path, pages) == ["reference/states.md"]
    assert docs.write(tmp_path, pages) == ["reference/states.md"]
    assert (docs.stale(tmp_path, pages), docs.write(tmp_path, pages)) == ([], [])
    (tmp_path / "reference/states.md").write_text("# Edited\n")
    assert docs.stale(tmp_path, pages) == ["reference/states.md"]


def test_a_program_gives_its_exit_code_and_output() -> None:
    assert processes.run(["/bin/sh", "-c", "echo out; exit 7"], capture=True) == (7, "out\n")


def test_a_program_that_is_told_to_stop_takes_its_child_with_it() -> None:
    """SIGTERM to a command under dev/ ends what it runs, and runs its `finally` blocks."""
    child = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    source = f"""
        import sys
        from dev import processes
        processes.exit_on_signals()
        try:
            processes.run([sys.executable, "-c", {child!r}])
        finally:
            print("cleaned up", flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source)], stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        child_id = int(command.stdout.readline())
        command.send_signal(signal.SIGTERM)
        output, _ = command.communicate(timeout=30)
    assert (command.returncode, output) == (128 + signal.SIGTERM, "cleaned up\n")
    assert not _exists(child_id)


def _exists(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_demo_sees_a_process_that_hid_from_it() -> None:
    """A grandchild in a session of its own, whose parent is gone, is still found."""
    source = """
        import os, signal, subprocess, sys
        from dev import demo
        demo.LEFT_WITHIN = 0.0
        demo.adopt_orphans()
        assert demo.left_behind() == []
        wait = [sys.executable, "-c", "import signal; signal.pause()"]
        hide = f"import subprocess; subprocess.Popen({wait!r}, start_new_session=True)"
        subprocess.run([sys.executable, "-c", hide], check=True)
        found = demo.left_behind()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        print(len(found))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_the_demo_is_not_led_astray_by_settings_of_the_shell(tmp_path: Path) -> None:
    env = demo.environment(tmp_path)
    assert not [name for name in env if name.startswith("SPARK_")]
    assert env["XDG_STATE_HOME"].startswith(str(tmp_path))
