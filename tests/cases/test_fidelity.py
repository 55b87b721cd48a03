"""Command, args and environment reach a real container byte for byte, and whatever is accepted can be run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spark_jobs.domain.parse import LARGEST_SPEC
from spark_jobs.domain.parse_env import LONGEST_ARGUMENT
from spark_jobs.domain.state import JobState
from tests.cases.jobs import IMAGE, ends, log_of, shell
from tests.e2e import kube
from tests.e2e.server import Server, on_kubernetes, serving

pytestmark = pytest.mark.needs("kubernetes", "kubectl")

ODD = [
    "", " ", "  two  blanks ", "$", "$$", "$$$", "$HOME", "$(SPARK_JOB_ID)", "$$(SPARK_JOB_ID)", "$(", "$()", "$(NO_SUCH)",
    "'", '"', "`id`", "\\", "\\n", "a\nb", "ends with a newline\n", "\r\n", "\ttab", "\x01\x1b\x7f", "é", "日本", "😀", "a\u0300",
    "-n", "--", "*", "?", "~", "{a,b}", "#", "%s", "null", "true", "012", "x" * 100_000, "$" * 50_000,
]  # fmt: skip
HEX = "od -An -v -tx1 | tr -d ' \\n'; echo"
WORDS = f'for word in "$@"; do printf %s "$word" | {HEX}; done'


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """A namespace for this module."""
    with kube.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def server(where: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on that namespace."""
    with serving(tmp_path_factory.mktemp("home"), *on_kubernetes(where)) as running:
        yield running


async def test_words_arrive_byte_for_byte(server: Server) -> None:
    in_command = {"image": IMAGE, "command": ["sh", "-c", WORDS, "sh", *ODD]}
    in_args = {"image": IMAGE, "command": ["sh", "-c", WORDS, "sh"], "args": ODD}
    for job in await ends(server, in_command, in_args):
        assert job.state is JobState.SUCCEEDED, job.message
        lines = (await log_of(server, job.id)).decode().splitlines()
        assert [bytes.fromhex(line).decode() for line in lines] == ODD
        assert job.spec.command is not None
        assert [*job.spec.command, *(job.spec.args or [])][-len(ODD) :] == ODD


async def test_values_arrive_byte_for_byte(server: Server) -> None:
    env = {f"ODD_{place}": value for place, value in enumerate(ODD)} | {"with-dash.and.dot": "x"}
    # Without a shell, which would leave out what it can't name itself; in hex, since containerd drops a CR before an LF.
    words = ["od", "-An", "-v", "-tx1", "/proc/self/environ"]
    [job] = await ends(server, {"image": IMAGE, "command": words, "env": env})
    assert job.state is JobState.SUCCEEDED, job.message
    pairs = bytes.fromhex((await log_of(server, job.id)).decode()).decode().split("\0")
    there = dict(pair.split("=", 1) for pair in pairs if pair)
    assert {name: value for name, value in there.items() if name in env} == env
    assert (there["SPARK_JOB_ID"], there["SPARK_JOB_ATTEMPT"]) == (job.id, "1")
    assert job.spec.env == env


LARGE: dict[str, dict[str, Any]] = {
    "the longest argument": {"command": ["true", "x" * LONGEST_ARGUMENT]},
    "the longest value": {"command": ["true"], "env": {"V": "x" * (LONGEST_ARGUMENT - 2)}},
    "dollars": {"command": ["true", *["$" * 100_000] * 5]},
    "the largest spec": {"command": ["true", *["x" * 130_000] * 8]},
    "most variables": {"command": ["true"], "env": {f"VARIABLE_{number}": "value" for number in range(5000)}},
    "long names of variables": {"command": ["true"], "env": {f"{'N' * 20_000}{number}": "" for number in range(25)}},
    "labels and a name": {
        "command": ["true"],
        "name": "\U0001f600" * 253,
        "labels": {f"k{number}": "\U0001f600" * 4000 for number in range(8)},
    },
    "labels that JSON makes longer": {
        "command": ["true"],
        "labels": {f"k{number}": "\x01" * 4000 for number in range(8)},
    },
    "most volumes": {
        "command": ["true"],
        "volumes": [{"mount": f"/v{number}", "empty_dir": {}} for number in range(200)],
    },
}


@pytest.mark.parametrize("name", LARGE)
async def test_the_most_that_is_accepted_can_be_run(server: Server, name: str) -> None:
    [job] = await ends(server, {"image": IMAGE, **LARGE[name]})
    assert job.state is JobState.SUCCEEDED, (job.reason, str(job.message)[:500])


def test_what_linux_can_not_take_is_refused_with_its_place(server: Server, tmp_path: Any) -> None:
    spec = tmp_path / "job.json"
    spec.write_text(f'{{"image": "{IMAGE}", "command": ["true", "{"x" * (LONGEST_ARGUMENT + 1)}"]}}')
    done = server.spark("submit", "-f", str(spec), expect=2)
    assert "#/command/1" in done.stderr
    assert "128 KiB" in done.stderr
    # Each dollar is doubled for Kubernetes.
    words = ", ".join([f'"{"$" * 100_000}"'] * (LARGEST_SPEC // 200_000 + 1))
    spec.write_text(f'{{"image": "{IMAGE}", "command": ["true", {words}]}}')
    done = server.spark("submit", "-f", str(spec), expect=2)
    assert "1 MiB" in done.stderr


async def test_names_that_no_object_could_have_come_back_unchanged(server: Server, where: str) -> None:
    name, labels = "Train №7 / nightly: 50 %\n", {"Team/A/é": "two words", "note": "x" * 300, "plain": "yes"}
    with kube.watching("jobs", where) as objects:
        first, second = await ends(server, *[shell("true", name=name, labels=labels)] * 2)
        assert {job.spec.name for job in (first, second)} == {name}
        assert first.spec.labels == labels
        assert len(objects.names()) == 2, "objects of the same name are told apart"
        [shown] = [thing for _, kind, thing in objects.events if kind == "ADDED"][:1]
        assert shown["metadata"]["labels"]["plain"] == "yes"
