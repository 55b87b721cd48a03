"""Which known word somebody probably meant."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 64


def edits(one: str, other: str) -> int:
    """How many letters to put in, take out, replace or swap with their neighbour to make one word the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, above, row = row, before, [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


def nearest(word: str, known: Iterable[str], *, most: int = 2) -> str | None:
    """The known word within ``most`` edits (fewest first, then in order); upper case, ``-`` and ``_`` do not count."""
    if len(word) > _LONGEST:
        return None
    wanted = _plain(word)
    best: tuple[int, str] | None = None
    for candidate in known:
        if abs(len(candidate) - len(word)) > most + candidate.count("_") + word.count("_"):
            continue
        distance = edits(wanted, _plain(candidate))
        # A word of three letters is within two edits of nearly every other one.
        if distance <= min(most, len(wanted) // 2) and (best is None or distance < best[0]):
            best = (distance, candidate)
    return best[1] if best else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: ``; did you mean `X`?`` or nothing."""
    candidate = nearest(word, known)
    return f"; did you mean `{candidate}`?" if candidate else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
