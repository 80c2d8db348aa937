"""How commands answer: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer


class Format(StrEnum):
    """Choices of --output."""

    table = "table"
    json = "json"


Output = Annotated[Format, typer.Option("--output", "-o", help="table for people, json for programs.")]


def show(rows: Sequence[dict[str, Any]], output: Format, title: str = "") -> None:
    """Print `rows`: as JSON, a list of objects; as a table, one column a key."""
    if output is Format.json:
        typer.echo(json.dumps(list(rows), indent=2, default=str))
        return
    from rich.console import Console
    from rich.table import Table

    if not rows:
        typer.echo("No rows.")
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int | float) and value is not True else "left")
    for row in rows:
        table.add_row(*("" if value is None else _text(value) for value in row.values()))
    Console(width=None if _wide() else 200).print(table)


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _wide() -> bool:
    import sys

    return sys.stdout.isatty()
