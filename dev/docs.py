"""Files that are made from others, pages of the documentation above all, and the check that they are fresh.

A generator is a function without arguments that returns the whole text of its file. To add one, put it into PAGES.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dev.pages.commands import commands_page
from dev.pages.grpc import grpc_page
from dev.pages.http import http_page
from dev.pages.permissions import GUIDE, permissions_guide
from dev.pages.protos import proto_modules
from dev.pages.reasons import reasons_page
from dev.pages.settings import settings_page
from dev.pages.states import ARCHITECTURE, architecture_page, states_page

ROOT = Path(__file__).resolve().parent.parent

# File, relative to the root of the repository -> what makes its text.
PAGES: dict[str, Callable[[], str]] = {
    ARCHITECTURE: architecture_page,
    GUIDE: permissions_guide,
    "docs/reference/cli.md": commands_page,
    "docs/reference/grpc.md": grpc_page,
    "docs/reference/http.md": http_page,
    "docs/reference/reasons.md": reasons_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/states.md": states_page,
    **proto_modules(),
}


def stale(root: Path, pages: Mapping[str, Callable[[], str]]) -> list[str]:
    """Names of the generated files that are missing or differ from what their generator says now."""
    return [name for name, generate in pages.items() if _current(root / name) != generate()]


def write(root: Path, pages: Mapping[str, Callable[[], str]]) -> list[str]:
    """Write the stale files and return their names."""
    names = stale(root, pages)
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[name](), encoding="utf-8")
    return names


def _current(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def main() -> int:
    """`python -m dev.docs [--check]`."""
    parser = argparse.ArgumentParser(prog="dev.docs", description="Write the generated pages of the documentation.")
    parser.add_argument("--check", action="store_true", help="only name the pages that are not fresh")
    if parser.parse_args().check:
        names = stale(ROOT, PAGES)
        print("\n".join(f'{name} is stale: run "make fmt"' for name in names) or f"generated pages: {len(PAGES)} fresh")
        return 1 if names else 0
    for name in write(ROOT, PAGES):
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
