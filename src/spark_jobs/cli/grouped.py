"""Help as plain text in groups. Typer's own, with frames, takes three times as long as everything else that a help does.

This module imports Typer and the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from typer.core import TyperCommand, TyperGroup


class GroupedCommand(TyperCommand):
    """A command whose flags are shown under the names of their groups."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{**settings, "rich_markup_mode": None})

    # Typer carries its own copy of Click, whose types are not public: hence `Any`.
    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the flags."""
        _write(formatter, _flags(self.get_params(ctx), ctx))


class GroupedGroup(TyperGroup):
    """Several commands, shown under the names of their groups, and then the flags."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "rich_markup_mode": None})

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and the flags."""
        shown = [command for command in self.commands.values() if not command.hidden]
        rows = [(_panel(command, "Commands"), (command.name or "", command.help or "")) for command in shown]
        _write(formatter, rows)
        _write(formatter, _flags(self.get_params(ctx), ctx))


def _flags(params: Iterable[Any], ctx: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    for param in params:
        name, told = param.get_help_record(ctx) or ("", "")
        if param.param_type_name == "argument":
            yield _panel(param, "Arguments"), (name, told)
        elif name:
            yield _panel(param, "Options"), (name, told)


def _panel(part: Any, default: str) -> str:
    return getattr(part, "rich_help_panel", None) or default


def _write(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    groups: dict[str, list[tuple[str, str]]] = {}
    for panel, row in rows:
        groups.setdefault(panel, []).append(row)
    for panel, records in groups.items():
        with formatter.section(panel):
            formatter.write_dl(records)
