"""`lakehouse warehouse`: published tables to Snowflake by hand, and how far behind they are there."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

app = typer.Typer(no_args_is_help=True, help="Published tables in Snowflake: publish, status.")

TABLES = typer.Argument(help="gold.fact_sales, gold.*, or several. Default: every table that goes there.")
WHOLE = typer.Option("--whole", help="Send everything, whatever is there.")


@app.command("publish")
def publish(
    tables: Annotated[list[str] | None, TABLES] = None,
    whole: Annotated[bool, WHOLE] = False,
    output: Output = Format.table,
) -> None:
    """Bring Snowflake to the latest version of each table: what changed since the last time, in one transaction each.

    Safe to run again, or twice at once. A table too far behind goes whole, and the answer says why.
    """
    from rich.console import Console

    from lakehouse import connections, warehouse
    from lakehouse.config import settings

    rows = []
    with Console(stderr=True).status("starting") as line:
        for contract in warehouse.chosen(tables or []):
            # A session each: what is temporary in it ends with the table.
            with closing(connections.open_source(settings().warehouse.connection)) as connection:
                rows.append(warehouse.publish(contract, connection, whole, line.update).to_row())
    show(rows, output)


@app.command("status")
def status(tables: Annotated[list[str] | None, TABLES] = None, output: Output = Format.table) -> None:
    """Versions and rows of each table, here and there, and what the next publish would send."""
    from lakehouse import connections, warehouse
    from lakehouse.config import settings

    with closing(connections.open_source(settings().warehouse.connection)) as connection:
        show([warehouse.standing(contract, connection) for contract in warehouse.chosen(tables or [])], output)
