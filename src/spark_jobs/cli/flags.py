"""Flags that are rows of a table, and functions whose parameters come from such rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import typer


class Flag(NamedTuple):
    """One flag. ``kind`` is the type that Typer converts to; without a default the flag may be left out."""

    parameter: str
    names: tuple[str, ...]
    kind: Any
    help: str
    panel: str | None = None
    default: object = None
    metavar: str | None = None
    hidden: bool = False

    def as_parameter(self) -> inspect.Parameter:
        """This flag as the parameter of a function."""
        kind = self.kind if self.default is not None else self.kind | None
        option = typer.Option(
            *self.names, help=self.help, rich_help_panel=self.panel, metavar=self.metavar, hidden=self.hidden
        )
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=self.default,
            annotation=Annotated[kind, option],
        )


def words_parameter(name: str, help_text: str) -> inspect.Parameter:
    """The parameter that takes all words from the first one that is no flag."""
    kind = Annotated[list[str] | None, typer.Argument(help=help_text, metavar="WORD...", show_default=False)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def with_parameters(
    function: Callable[..., None], flags: Sequence[Flag], *others: inspect.Parameter
) -> Callable[..., None]:
    """The function, which takes keywords, as Typer shall see it: with one parameter for each flag."""
    parameters = [*others, *(flag.as_parameter() for flag in flags)]
    function.__dict__["__signature__"] = inspect.Signature(parameters)
    return function
