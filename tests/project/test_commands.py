"""The commands under dev/: what they say, and that nothing of theirs outlives them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

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


def _cluster_program(folder: Path, body: str) -> tuple[str, ...]:
    """A program in place of `dev.cluster`: writes down how it is called, then does as `body` says."""
    path = folder / "cluster.sh"
    path.write_text(f'echo "$1" >>{folder}/calls\n{body}\n')
    return ("/bin/sh", str(path))


@pytest.fixture
def no_cluster_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_TEST_KUBECONFIG", raising=False)


@pytest.mark.usefixtures("no_cluster_named")
def test_a_cluster_is_up_for_the_tests_and_down_after_them_whatever_happens(tmp_path: Path) -> None:
    program = _cluster_program(tmp_path, 'test "$1" = up && echo telling >&2 && echo /a/kubeconfig || true')
    with pytest.raises(KeyboardInterrupt), test_command.cluster(program) as found:
        raise KeyboardInterrupt
    assert found.pop("SPARK_TEST_KUBECTL").startswith(f"{program[0]} {program[1]} kubectl --name test-")
    assert found == {"SPARK_TEST_KUBECONFIG": "/a/kubeconfig"}
    assert (tmp_path / "calls").read_text().split() == ["probe", "up", "down"]


@pytest.mark.usefixtures("no_cluster_named")
def test_where_no_cluster_can_be_made_the_reasons_are_kept(tmp_path: Path) -> None:
    program = _cluster_program(tmp_path, "echo not root; echo no overlay; exit 3")
    with test_command.cluster(program) as found:
        assert "not root; no overlay" in found["SPARK_TEST_NO_CLUSTER"]
    assert (tmp_path / "calls").read_text().split() == ["probe"]


@pytest.mark.usefixtures("no_cluster_named")
def test_a_cluster_that_does_not_come_up_fails_the_run_but_not_the_other_tests(tmp_path: Path) -> None:
    program = _cluster_program(tmp_path, 'test "$1" != up')
    with test_command.cluster(program) as found:
        assert found.keys() == {"SPARK_TEST_NO_CLUSTER", "SPARK_TEST_REQUIRE_ALL"}
    assert (tmp_path / "calls").read_text().split() == ["probe", "up", "down"]


def test_a_named_cluster_is_used_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_TEST_KUBECONFIG", "/a/kubeconfig")
    with test_command.cluster(_cluster_program(tmp_path, "exit 1")) as found:
        assert found == {}
    assert not (tmp_path / "calls").exists()


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
