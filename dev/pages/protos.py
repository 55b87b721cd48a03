"""The Python side of the `.proto` files: what protoc makes of them, with type stubs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
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
    with tempfile.TemporaryDirectory() as folder:
        _run(f"--python_out={folder}", f"--pyi_out={folder}")
        # No file imports another, so the modules may stand in a package of any name.
        return {path.name: path.read_text(encoding="utf-8") for path in (Path(folder) / _PACKAGE).iterdir()}


def described() -> FileDescriptorSet:
    """The files with their comments. Raises RuntimeError as above."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "described"
        _run(f"--descriptor_set_out={path}", "--include_source_info")
        return FileDescriptorSet.FromString(path.read_bytes())


def _run(*wanted: str) -> None:
    sources = [f"{(_PACKAGE / name).as_posix()}.proto" for name in NAMES]
    if protoc.main(["protoc", f"-I{_ROOT / FOLDER}", f"-I{_INCLUDES}", *wanted, *sources]) != 0:
        raise RuntimeError("protoc refused a .proto file")
