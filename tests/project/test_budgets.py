"""The size budgets: what is counted, and that a breach is named with its place."""

import pytest

from dev import budgets, check


def _module(source: str, path: str = "src/spark_jobs/example.py") -> budgets.Module:
    return budgets.parse_module(path, source)


def _figure(name: str, modules: list[budgets.Module], graph: dict[str, set[str]] | None = None) -> budgets.Figure:
    return next(figure for figure in budgets.figures(modules, graph or {}) if figure.name.startswith(name))


def _function(lines: int, name: str = "f") -> str:
    return f"def {name}():\n" + "    pass\n" * (lines - 1)


def test_a_module_may_have_500_lines() -> None:
    assert _figure("module lines, longest", [_module("x = 1\n" * 500)]).breaches == ()
    assert _figure("module lines, longest", [_module("x = 1\n" * 501)]).breaches == (
        "src/spark_jobs/example.py: 501 lines",
    )


def test_the_median_of_the_product_counts_not_that_of_the_tests() -> None:
    modules = [_module("x = 1\n" * 151), *(_module("", f"tests/test_{number}.py") for number in range(9))]
    assert _figure("module lines, median", modules).breaches == ("median of src is 151 lines",)


def test_a_function_may_have_60_lines() -> None:
    assert _figure("function lines", [_module(_function(60))]).breaches == ()
    assert _figure("function lines", [_module(_function(61))]).breaches == (
        "src/spark_jobs/example.py:1 f has 61 lines",
    )


@pytest.mark.parametrize(("long", "kept"), [(1, True), (2, False)])
def test_of_twenty_functions_one_may_be_longer_than_40_lines(long: int, kept: bool) -> None:
    source = "".join(_function(41 if number < long else 2, f"f{number}") for number in range(20))
    assert (_figure("functions of <= 40 lines", [_module(source)]).breaches == ()) is kept


def test_parameters_are_counted_without_self_and_outside_settings() -> None:
    source = "class C:\n    def m(self, a, b, c, d, e, f): ...\n    def n(self, a, /, b, c, d, *, e, f, g): ...\n"
    assert _figure("parameters", [_module(source)]).breaches == ("src/spark_jobs/example.py:3 n has 7 parameters",)
    assert _figure("parameters", [_module(source, "src/spark_jobs/cli/main.py")]).breaches == ()
    assert _figure("parameters", [_module(source, "src/spark_jobs/config.py")]).breaches == ()


def test_an_ignored_type_needs_a_code_and_a_reason() -> None:
    ignore = "# type: " + "ignore"
    source = f"a = 1  {ignore}\nb = 1  {ignore}[misc]\nc = 1  {ignore}[misc]  # the stub is wrong\nd = '{ignore}'\n"
    assert _figure("type: ignore", [_module(source)]).breaches == (
        "src/spark_jobs/example.py:1",
        "src/spark_jobs/example.py:2",
    )


def test_each_circle_of_imports_is_found_once() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e"}, "g": set[str]()}
    figure = _figure("import cycles", [], graph)
    assert (figure.measured, figure.breaches) == ("2", ("a <-> b <-> c", "e <-> f"))


def test_all_failures_are_shown_and_every_figure_with_its_budget() -> None:
    figures = budgets.figures([_module("x = 1\n" * 501)], {"a": {"b"}, "b": {"a"}})
    results = [check.Result("lint", False, 0.1, "one fault"), check.Result("types", False, 0.1, "another fault")]
    text = check.report(results, figures)
    assert "one fault" in text
    assert "another fault" in text
    assert text.endswith("check: FAILED: lint, types")
    assert all(figure.name in text and figure.measured in text and figure.budget in text for figure in figures)
