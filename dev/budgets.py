"""Measures the size budgets of the code: lines of modules and functions, parameters, import cycles, ignored types."""

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grimp

FOLDERS = ("src", "dev", "bench", "tests")
# Settings are a table, and the options of a command are its parameters.
PARAMETERS_EXEMPT = ("src/spark_jobs/config.py", "src/spark_jobs/cli/")
IGNORE = re.compile(r"#\s*type:\s*ignore\b")
IGNORE_WITH_REASON = re.compile(r"#\s*type:\s*ignore\[[\w\-, ]+\]\s*#\s*\S{2,}.*")


@dataclass(frozen=True)
class Function:
    """One function or method: where it is, how long it is, how many parameters it has (self and cls not counted)."""

    path: str
    line: int
    name: str
    lines: int
    parameters: int


@dataclass(frozen=True)
class Module:
    """One source file with its functions and the lines whose `type: ignore` gives no reason."""

    path: str
    lines: int
    functions: tuple[Function, ...]
    unexplained: tuple[int, ...]


@dataclass(frozen=True)
class Figure:
    """One budget, what was measured, and where it is exceeded."""

    name: str
    budget: str
    measured: str
    breaches: tuple[str, ...]


def read_modules(root: Path, folders: Iterable[str] = FOLDERS) -> list[Module]:
    """All Python files below the folders of `root`, in order of their path."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [parse_module(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def parse_module(path: str, source: str) -> Module:
    """Measure one file; raises SyntaxError."""
    functions = tuple(_functions(path, ast.parse(source)))
    comments = (
        token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.COMMENT
    )
    unexplained = tuple(
        token.start[0]
        for token in comments
        if IGNORE.match(token.string) and not IGNORE_WITH_REASON.fullmatch(token.string)
    )
    return Module(path, len(source.splitlines()), functions, unexplained)


def _functions(path: str, tree: ast.Module) -> Iterator[Function]:
    methods = {id(child) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for child in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            receiver = id(node) in methods and names[:1] in (["self"], ["cls"])
            count = len(names) + len(node.args.kwonlyargs) - receiver
            yield Function(path, node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1, count)


def import_cycles(graph: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Groups of modules that import each other in a circle (strongly connected components), smallest name first."""
    reach = {module: _reachable(graph, module) for module in graph}
    groups = {
        tuple(sorted(other for other in reach[module] if module in reach.get(other, ())))
        for module in graph
        if module in reach[module]
    }
    return sorted(groups)


def _reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(graph.get(module, ()))
    return seen


def import_graph(package: str) -> dict[str, set[str]]:
    """Which module of the package imports which, all imports counted, those inside functions too.

    The package itself is left out: it names the types that it offers, and imports them at their first use.
    """
    graph = grimp.build_graph(package)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules - {package}}


def figures(modules: list[Module], graph: Mapping[str, Iterable[str]]) -> list[Figure]:
    """All budgets, measured."""
    cycles = import_cycles(graph)
    ignored = [f"{module.path}:{line}" for module in modules for line in module.unexplained]
    cycle_breaches = tuple(" <-> ".join(cycle) for cycle in cycles)
    return [
        Figure("import cycles", "0", str(len(cycles)), cycle_breaches),
        *_module_figures(modules),
        *_function_figures([function for module in modules for function in module.functions]),
        Figure("type: ignore without reason", "0", str(len(ignored)), tuple(ignored)),
    ]


def _module_figures(modules: list[Module]) -> list[Figure]:
    # The median speaks of the product: many small test files would hide large modules.
    product = [module.lines for module in modules if module.path.startswith("src/")]
    median = statistics.median(product) if product else 0
    longest = max((module.lines for module in modules), default=0)
    long = tuple(f"{module.path}: {module.lines} lines" for module in modules if module.lines > 500)
    over = (f"median of src is {median:g} lines",) if median > 150 else ()
    return [
        Figure("module lines, median of src", "<= 150", f"{median:g}", over),
        Figure("module lines, longest", "<= 500", str(longest), long),
    ]


def _function_figures(functions: list[Function]) -> list[Figure]:
    within = _share(functions, lambda function: function.lines <= 40)
    long = [function for function in functions if function.lines > 60]
    counted = [function for function in functions if not function.path.startswith(PARAMETERS_EXEMPT)]
    wide = [function for function in counted if function.parameters > 6]
    middling = [function for function in functions if function.lines > 40] if within < 95 else []
    return [
        Figure("functions of <= 40 lines", ">= 95 %", f"{within:.1f} %", tuple(map(_lines, middling))),
        Figure(
            "function lines, longest",
            "<= 60",
            _largest(functions, lambda function: function.lines),
            tuple(map(_lines, long)),
        ),
        Figure(
            "parameters, most",
            "<= 6",
            _largest(counted, lambda function: function.parameters),
            tuple(f"{_place(function)} has {function.parameters} parameters" for function in wide),
        ),
    ]


def _share(functions: list[Function], accept: Callable[[Function], bool]) -> float:
    return 100 * sum(map(accept, functions)) / len(functions) if functions else 100.0


def _largest(functions: list[Function], key: Callable[[Function], int]) -> str:
    return str(max(map(key, functions), default=0))


def _place(function: Function) -> str:
    return f"{function.path}:{function.line} {function.name}"


def _lines(function: Function) -> str:
    return f"{_place(function)} has {function.lines} lines"
