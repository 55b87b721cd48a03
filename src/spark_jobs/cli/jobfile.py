"""Job files: YAML 1.2, JSON, or JSON lines. Values stay what was written; nothing is turned into text here."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from spark_jobs.cli.failures import UsageError

_DIGITS = "0123456789"
# The plain scalars that are no text, by the characters they begin with (none: the empty one). Everything else, such as
# 0777, 12:30, yes or 2024-01-01, stays the text that was written.
_FORMS = (
    ("null", "", ""),
    ("null", r"~|null|Null|NULL", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+" + _DIGITS),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-+." + _DIGITS),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)\.?[eE][-+]?[0-9]+", "-+" + _DIGITS),
    ("merge", "<<", "<"),
)


class Written(NamedTuple):
    """A job as it is written, as plain objects, and the line of the file where it begins (from 1)."""

    plain: dict[str, object]
    line: int


def read_jobs(path: Path) -> list[Written]:
    """The jobs in the file (`-`: standard input).

    Raises:
        UsageError: the file can't be read, or holds no jobs; the message says where.
    """
    text = _read(path)
    looks_like_json = path.suffix in {".json", ".jsonl", ".ndjson"} or text.lstrip().startswith('{"')
    documents = _json(text, path) if looks_like_json else _yaml(text, path)
    jobs: list[Written] = []
    for document, line in documents:
        if not isinstance(document, dict):
            raise UsageError(
                f"-f {path}, line {line}: a job is a mapping, such as `image: busybox:1`; found {_kind(document)}"
            )
        jobs.append(Written(document, line))
    if not jobs:
        raise UsageError(f"-f {path}: there is no job in it")
    return jobs


def _read(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"-f {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"-f {path}: it is not UTF-8 text (byte {error.start})") from None


def _json(text: str, path: Path) -> list[tuple[object, int]]:
    """One JSON text after the other, usually one a line; each with its line."""
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)
    documents: list[tuple[object, int]] = []
    position, counted, line = _next(text, 0), 0, 1
    while position < len(text):
        line, counted = line + text.count("\n", counted, position), position
        try:
            document, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise UsageError(f"-f {path}, line {error.lineno}, column {error.colno}: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise UsageError(f"-f {path}, line {line}: {error}") from None
        documents.append((document, line))
        position = _next(text, end)
    return documents


def _next(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} is there twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _yaml(text: str, path: Path) -> list[tuple[object, int]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _resolver()
    lines: list[int] = []
    yaml.Constructor = _constructor(lines)
    try:
        found = zip(yaml.load_all(text), lines, strict=False)  # each line is there once its document has been made
        documents = [(document, line) for document, line in found if document is not None]
        json.dumps(documents, allow_nan=False)  # YAML can say what JSON can't: aliases in a circle, keys that are lists
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        # What comes after "with value" may be a secret.
        problem = (error.problem or error.context or "this is no YAML").partition(" with value ")[0]
        raise UsageError(f"-f {path}{place}: {problem}") from None
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"-f {path}: {str(error).splitlines()[0]}") from None
    return documents


def _resolver() -> type[Any]:
    from ruamel.yaml.resolver import VersionedResolver

    table: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, form, first in _FORMS:
        for char in first or [""]:
            table.setdefault(char, []).append((f"tag:yaml.org,2002:{name}", re.compile(f"(?:{form})$")))

    class Resolver(VersionedResolver):
        """Knows which plain scalars are no text, in every version of YAML the same."""

        @property
        def versioned_resolver(self) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
            return table

    return Resolver


def _constructor(lines: list[int]) -> type[Any]:
    """Makes plain objects, and notes the line in which each document begins."""
    from ruamel.yaml.constructor import SafeConstructor

    class Constructor(SafeConstructor):
        """Sees every document before it is made."""

        def construct_document(self, node: Any) -> Any:
            """The document of this node."""
            lines.append(node.start_mark.line + 1)
            return super().construct_document(node)

    return Constructor


def _kind(document: object) -> str:
    names = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}
    return next((name for kind, name in names.items() if isinstance(document, kind)), "null")
