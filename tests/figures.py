"""Figures that tests measure, each beside its bound: shown at the end of the run, whether the test holds or not.

With SPARK_TEST_FIGURES they are appended to the file of that name as well, one `name: figure (bound)` a line.
"""

import os
from pathlib import Path

LINES: list[str] = []


def note(name: str, figure: object, bound: str) -> None:
    """Record what was measured; numbers are shown with at most two decimals."""
    shown = f"{figure:.2f}".rstrip("0").rstrip(".") if isinstance(figure, float) else str(figure)
    line = f"{name}: {shown} ({bound})"
    LINES.append(line)
    if destination := os.environ.get("SPARK_TEST_FIGURES"):
        with Path(destination).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def at_most(name: str, figure: float, bound: float, unit: str = "s") -> None:
    """Record it, and fail if it is above the bound."""
    note(name, figure, f"at most {bound:g} {unit}")
    assert figure <= bound, f"{name}: {figure:g} {unit}, at most {bound:g} {unit}"


def exactly(name: str, figure: object, expected: object) -> None:
    """Record it, and fail if it is anything else."""
    note(name, figure, f"exactly {expected}")
    assert figure == expected, f"{name}: {figure}, not {expected}"
