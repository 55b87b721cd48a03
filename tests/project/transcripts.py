"""Terminal transcripts in pages: the commands and outputs of every block marked `console`, and what may differ in them."""

import re
from typing import NamedTuple

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What is different at every run -> what stands for it.
_VARYING = (
    (re.compile(r"spark-job-[a-z0-9]{15}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d+ s\b"), "N s"),
    (re.compile(r"\b(?:\d+[dhms])+(?=\s|$)"), "SPAN"),
    (re.compile(r"[ \t]+"), " "),
)


class Step(NamedTuple):
    """One command, which may have several lines, and what it prints on stdout and stderr."""

    command: str
    output: str


def steps(page: str) -> list[Step]:
    """All steps of a page in their order. `$ ` begins a command, `> ` goes on with it.

    Raises:
        ValueError: a block begins with something else.
    """
    found: list[Step] = []
    for block in _BLOCK.findall(page):
        begun = len(found)
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], ""))
            elif len(found) == begun:
                raise ValueError(f"a block does not begin with a command: {line}")
            elif line.startswith("> ") and not found[-1].output:
                found[-1] = Step(f"{found[-1].command}\n{line[2:]}", "")
            else:
                found[-1] = Step(found[-1].command, f"{found[-1].output}{line}\n")
    return found


def comparable(output: str) -> list[str]:
    """The lines of an output with what varies replaced by a word."""
    for pattern, word in _VARYING:
        output = pattern.sub(word, output)
    return [line.strip() for line in output.splitlines()]
