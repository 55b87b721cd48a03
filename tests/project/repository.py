"""What the tests of the repository share: its root and the files that git tracks."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked_files() -> tuple[Path, ...]:
    """The tracked files that are there, relative to the root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    names = filter(None, listed.stdout.split("\0"))
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def read(name: Path | str) -> str:
    """The text of a file of the repository; bytes that are no UTF-8 are replaced."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")
