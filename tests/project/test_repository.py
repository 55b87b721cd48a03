"""What holds the repository together: links, versions, words that have no place in it, tests that are tests."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import spark_jobs
from tests.project.repository import ROOT, read, tracked_files

# Joined here, so that this file does not hold what it looks for.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "proxy.golang" + ".org", "deb.debian" + ".org"]
PLACES = ["/work" + f"/{name}" for name in ("main", "shared", ".library")] + ["/root" + "/", "/home" + "/runner"]
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("word", [*HOSTS, *PLACES])
def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine(word: str) -> None:
    holding = [str(name) for name in tracked_files() if word in read(name)]
    assert holding == []


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [name for name in tracked_files() if name.suffix == ".md"]
    links = [(page, target) for page in pages for target in LINK.findall(FENCE.sub("", read(page)))]
    inner = [(page, target) for page, target in links if not target.startswith(("http:", "https:", "mailto:", "#"))]
    broken = [f"{page}: {target}" for page, target in inner if not _leads(page, target)]
    assert broken == []


def _leads(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (ROOT / page.parent / path).resolve()
    if not file.exists():
        return False
    return not anchor or file.suffix != ".md" or anchor in _anchors(file.read_text(encoding="utf-8"))


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    charts = [read(name) for name in tracked_files() if name.name == "Chart.yaml"]
    assert spark_jobs.__version__ == version
    assert all(re.search(rf"^appVersion: [\"']?{re.escape(version)}[\"']?$", chart, re.MULTILINE) for chart in charts)
    assert re.search(rf"^## \[({re.escape(version)}|Unreleased)\]", read("CHANGELOG.md"), re.MULTILINE)


def test_every_folder_of_tests_has_tests() -> None:
    support = {ROOT / "tests", ROOT / "tests" / "fakes"}
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")} - support
    without = [str(folder) for folder in folders if not any(folder.rglob("test_*.py"))]
    assert without == []


@pytest.mark.parametrize(
    "name", [str(name) for name in tracked_files() if name.parts[0] == "tests" and name.suffix == ".py"]
)
def test_tests_neither_hide_nor_wait(name: str) -> None:
    """No skip or xfail in disguise; no sleep as synchronisation. In virtual and in hurried time a test may let time pass,
    and so may what stands for somebody else (the fakes)."""
    tree = ast.parse(read(name))
    calls = {ast.unparse(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    marks = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    hidden = {"pytest.skip", "pytest.xfail", "pytest.importorskip", "pytest.mark.skip", "pytest.mark.skipif"}
    assert (marks | calls.keys()) & (hidden | {"pytest.mark.xfail", "time.sleep"}) == set()
    sleeps = [node for call, node in calls.items() if call == "asyncio.sleep" and ast.unparse(node.args[0]) != "0"]
    assert not sleeps or "pytest.mark.looptime" in marks or "hurried" in calls or name.startswith("tests/fakes/")
