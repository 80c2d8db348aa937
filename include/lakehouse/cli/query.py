"""`lakehouse query`: Spark SQL over the lake, tables by their names."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

SQL = typer.Argument(help="Spark SQL; tables as layer.table or ops.<name>, e.g. gold.fact_sales.")
LIMIT = typer.Option(help="Print at most this many rows; 0 prints all.", min=0)


def query(sql: Annotated[str, SQL], output: Output = Format.table, limit: Annotated[int, LIMIT] = 1000) -> None:
    """Run one SELECT over published tables and print the rows."""
    from lakehouse.query import run_query

    frame = run_query(sql)
    rows = [row.asDict() for row in (frame.limit(limit + 1) if limit else frame).collect()]
    cut = bool(limit) and len(rows) > limit
    show(rows[:limit] if cut else rows, output)
    if cut:
        typer.echo(f"Cut at {limit} rows; --limit 0 prints all.", err=True)
