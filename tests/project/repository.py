"""What the tests of the repository share: its root and the files that git tracks."""

import subprocess
import sys
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


def build_wheel(folder: Path) -> Path:
    """The wheel of the working tree, built into the folder with what is installed, without a network."""
    source = f"import os, sys; os.chdir({str(ROOT)!r}); import hatchling.build as h; h.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", source, str(folder)], check=True, capture_output=True)
    return next(folder.glob("spark_jobs-*.whl"))
