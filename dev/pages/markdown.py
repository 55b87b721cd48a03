"""The few pieces of Markdown that the generated pages are put together from."""

from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Text that is safe inside one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, with every cell on one line."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell(text) for text in line)} |\n" for line in lines)


def page(title: str, source: str, parts: Iterable[str], *, following: str) -> str:
    """A whole page: a word to editors about where its text comes from, the parts, and where to read on."""
    note = f'<!-- Made by "make fmt" from {source}; do not edit. -->\n\n# {title}\n'
    return "\n".join([note, *(part.rstrip("\n") + "\n" for part in parts), f"## What next\n\n{following}\n"])


def with_block(text: str, name: str, content: str) -> str:
    """A page written by hand with its generated block renewed: what stands between `<!-- NAME -->` and `<!-- /NAME -->`.

    Raises:
        ValueError: the page has no such block.
    """
    head, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, tail = rest.partition(f"<!-- /{name} -->\n")
    if not begin or not end:
        raise ValueError(f"there is no block {name}: <!-- {name} --> and <!-- /{name} -->, each on a line of its own")
    return f"{head}{begin}{content.rstrip()}\n{end}{tail}"
