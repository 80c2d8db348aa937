"""`lakehouse books`: what became of every extracted row."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.output import Format, Output, show

if TYPE_CHECKING:
    from lakehouse.books import Books, Load

TABLE = typer.Option(help="Only this table, as bronze.orders or orders.")


def books(table: Annotated[str, TABLE] = "", output: Output = Format.table) -> None:
    """By load and in total, from the ledger, held against the tables. Exit code 1 when they do not balance."""
    from lakehouse import books as room
    from lakehouse.cli.tables import sourced

    found = [room.books(contract.name) for contract in sourced(table)]
    if output is Format.json:
        show([_whole(book) for book in found], output)
    else:
        show([_row(load) for book in found for load in (*book.loads, book.total)], output)
        show([{"table": book.table, **book.quarantine} for book in found], output, "Rows of quarantine")
    faults = [f"{book.table}: {fault}" for book in found for fault in book.faults]
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        typer.echo("The books do not balance: see runbooks/quarantine.md.", err=True)
        raise typer.Exit(1)


def _whole(book: Books) -> dict[str, Any]:
    loads = [_row(load) for load in book.loads]
    return {**asdict(book), "loads": loads, "total": _row(book.total), "balanced": not book.faults}


def _row(load: Load) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(load, name) for name in ("table", "batch_id", "load", "kind", "state")}
    return {**row, "extracted": load.extracted, **load.parts, "difference": load.difference}
