"""`make check`: runs every static check, all of them even when one fails, and prints the budgets with their figures."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from dev import budgets

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "spark_jobs"


@dataclass(frozen=True)
class Result:
    """The outcome of one check; `output` is shown when it failed."""

    name: str
    passed: bool
    seconds: float
    output: str


def commands() -> dict[str, list[str]]:
    """The checks that are programs of their own."""
    python = [sys.executable, "-m"]
    return {
        "format": [*python, "ruff", "format", "--check", "--quiet", "."],
        "lint": [*python, "ruff", "check", "--quiet", "--output-format", "concise", "."],
        "types": [*python, "mypy", "--no-error-summary"],
        "layers": [str(Path(sys.executable).parent / "lint-imports"), "--no-logo"],
        "locks": [*python, "dev.lock", "--check"],
        "generated pages": [*python, "dev.docs", "--check"],
    }


def run(name: str, command: list[str]) -> Result:
    """Run one program and keep what it prints."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(), check=False
    )
    return Result(name, done.returncode == 0, time.monotonic() - started, done.stdout.strip())


def measure() -> tuple[list[budgets.Figure], Result]:
    """The budgets, and the check that none is exceeded."""
    started = time.monotonic()
    figures = budgets.figures(budgets.read_modules(ROOT), budgets.import_graph(PACKAGE))
    breaches = [f"{figure.name}: {breach}" for figure in figures for breach in figure.breaches]
    return figures, Result("budgets", not breaches, time.monotonic() - started, "\n".join(breaches))


def report(results: list[Result], figures: list[budgets.Figure]) -> str:
    """What is printed at the end: the failures in full, the budgets, one line for each check."""
    lines: list[str] = []
    for result in results:
        if not result.passed:
            lines += [f"--- {result.name}", result.output or "(failed without a word)", ""]
    lines += [f"{'budget':<30} {'limit':>8} {'measured':>9}"]
    for figure in figures:
        mark = "" if not figure.breaches else "  <- exceeded"
        lines.append(f"{figure.name:<30} {figure.budget:>8} {figure.measured:>9}{mark}")
    lines.append("")
    lines += [f"{result.name:<30} {_word(result):>8} {result.seconds:>7.1f} s" for result in results]
    failed = [result.name for result in results if not result.passed]
    lines += ["", f"check: FAILED: {', '.join(failed)}" if failed else "check: passed"]
    return "\n".join(lines)


def _word(result: Result) -> str:
    return "ok" if result.passed else "FAILED"


def _environment() -> dict[str, str]:
    # Rich and others wrap their output at 80 columns when stdout is no terminal.
    return {**os.environ, "COLUMNS": "160", "NO_COLOR": "1"}


def main() -> int:
    """`python -m dev.check`."""
    results = [run(name, command) for name, command in commands().items()]
    figures, budget = measure()
    results.append(budget)
    print(report(results, figures))
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
