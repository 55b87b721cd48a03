"""Compiles `requirements/*.lock` from `pyproject.toml`, and tells whether they are current without a network.

Each lock holds exact versions with hashes for every platform, and begins with a digest of what it was made from: the
dependency tables of `pyproject.toml`. A changed table without a new lock, or a lock edited by hand, is drift.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("requirements")
# dev comes first: the others are cut from the same versions, with it as their constraint.
LOCKS: dict[str, tuple[str, ...]] = {
    "dev": ("--all-extras", "--group", "dev"),
    "server": ("--extra", "server", "--extra", "grpc", "--extra", "s3"),
    "base": (),
}
HEADER = '# Made by "make lock"; do not edit. inputs={inputs} body={body}\n'
HEADER_PATTERN = re.compile(r"# Made by .* inputs=([0-9a-f]{64}) body=([0-9a-f]{64})\n")


def inputs_digest(root: Path) -> str:
    """SHA-256 of everything in pyproject.toml that decides what is locked."""
    document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    tables = [
        project["requires-python"],
        project["dependencies"],
        project["optional-dependencies"],
        document["dependency-groups"],
    ]
    return _digest(json.dumps(tables, sort_keys=True))


def drift(root: Path) -> list[str]:
    """What is wrong with the locks below `root`, one line each; empty when they are current."""
    wanted = inputs_digest(root)
    return [fault for name in LOCKS for fault in _faults(root / FOLDER / f"{name}.lock", wanted)]


def _faults(path: Path, wanted: str) -> list[str]:
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        return [f'{name} is missing: run "make lock"']
    text = path.read_text(encoding="utf-8")
    header = HEADER_PATTERN.match(text)
    if header is None:
        return [f'{name} has no digest in its first line: run "make lock"']
    faults = []
    if header[1] != wanted:
        faults.append(f'{name} was made from other dependencies than pyproject.toml has now: run "make lock"')
    if header[2] != _digest(text[header.end() :]):
        faults.append(f'{name} was edited by hand: run "make lock"')
    return faults


def compile_locks(root: Path, *, upgrade: bool) -> None:
    """Write all locks; keeps the versions they hold unless `upgrade`. Raises CalledProcessError."""
    inputs = inputs_digest(root)
    for name, selection in LOCKS.items():
        path = root / FOLDER / f"{name}.lock"
        subprocess.run(_command(name, selection, upgrade=upgrade), cwd=root, check=True)
        body = path.read_text(encoding="utf-8")
        path.write_text(HEADER.format(inputs=inputs, body=_digest(body)) + body, encoding="utf-8")
        print(f"{FOLDER}/{path.name}: {body.count('==')} packages", file=sys.stderr)


def _command(name: str, selection: tuple[str, ...], *, upgrade: bool) -> list[str]:
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", *selection]
    if name != "dev":
        command += ["--constraints", str(FOLDER / "dev.lock")]
    if upgrade:
        command.append("--upgrade")
    return [*command, "pyproject.toml", "--output-file", str(FOLDER / f"{name}.lock")]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    """`python -m dev.lock [--upgrade | --check]`."""
    parser = argparse.ArgumentParser(prog="dev.lock", description="Compile requirements/*.lock from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    parser.add_argument("--check", action="store_true", help="only say whether the locks are current")
    options = parser.parse_args()
    if options.check:
        faults = drift(ROOT)
        print("\n".join(faults) or "locks: current")
        return 1 if faults else 0
    compile_locks(ROOT, upgrade=options.upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
