"""The Python side of the `.proto` files: what protoc makes of them, with type stubs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path("src/spark_jobs/api/proto")
NAMES = ("spark_service", "job_service")
_PACKAGE = Path("spark/v1")
_ROOT = Path(__file__).resolve().parent.parent.parent
_INCLUDES = Path(protoc.__file__).parent / "_proto"


def proto_modules() -> dict[str, Callable[[], str]]:
    """Each generated file, relative to the root of the repository, and what makes its text."""
    files = [f"{name}_pb2{suffix}" for name in NAMES for suffix in (".py", ".pyi")]
    return {(FOLDER / file).as_posix(): partial(_text, file) for file in files}


def _text(file: str) -> str:
    return _compiled()[file]


@cache
def _compiled() -> dict[str, str]:
    """Raises RuntimeError where protoc refuses a file; it says why on stderr."""
    sources = [f"{(_PACKAGE / name).as_posix()}.proto" for name in NAMES]
    with tempfile.TemporaryDirectory() as folder:
        flags = [f"-I{_ROOT / FOLDER}", f"-I{_INCLUDES}", f"--python_out={folder}", f"--pyi_out={folder}"]
        if protoc.main(["protoc", *flags, *sources]) != 0:
            raise RuntimeError("protoc refused a .proto file")
        # No file imports another, so the modules may stand in a package of any name.
        return {path.name: path.read_text(encoding="utf-8") for path in (Path(folder) / _PACKAGE).iterdir()}
