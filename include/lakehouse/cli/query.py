"""`lakehouse query`: Spark SQL over the lake, tables by their names."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

SQL = typer.Argument(help="Spark SQL; tables as layer.table or ops.<name>, e.g. gold.fact_sales.")
LIMIT = typer.Option(help="Print at most this many rows; 0 prints all.", min=0)


AS_OF = typer.Option(help="Read every table as it was published at this moment (ISO 8601, UTC unless it says so).")


def query(
    sql: Annotated[str, SQL],
    output: Output = Format.table,
    limit: Annotated[int, LIMIT] = 1000,
    as_of: Annotated[str, AS_OF] = "",
) -> None:
    """Run one SELECT over published tables and print the rows."""
    from lakehouse.clock import in_utc
    from lakehouse.query import run_query

    try:
        at = in_utc(as_of) if as_of else None
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write ISO 8601, e.g. 2025-10-02T06:00:00Z", param_hint="--as-of") from error
    frame = run_query(sql, at)
    rows = [row.asDict() for row in (frame.limit(limit + 1) if limit else frame).collect()]
    cut = bool(limit) and len(rows) > limit
    show(rows[:limit] if cut else rows, output)
    if cut:
        typer.echo(f"Cut at {limit} rows; --limit 0 prints all.", err=True)
