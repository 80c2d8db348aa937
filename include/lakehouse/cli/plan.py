"""`lakehouse plan`: what a change of contract or SQL makes stale, and what restating it touches."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

SELECTOR = typer.Argument(help="Changes of these tables only: bronze.*, silver.orders, ... Default: of all.")


def plan(selector: Annotated[str, SELECTOR] = "*", output: Output = Format.table) -> None:
    """Tables that are not what their folders say, every table that reads them, and those computed in full, with sizes.

    Silver and gold of the list are computed anew by their next run: by what changed, or whole, where `in_full` says
    why. A bronze table is loaded by its new contract from then on; what it holds stays as it was judged.
    """
    from lakehouse import manifest
    from lakehouse.staleness import stale

    tables = manifest.load()
    found = stale(tables, tables.select(selector))
    show([one.to_row() for one in found], output)
    if found and output is Format.table:
        total = {name: sum(getattr(one, name) for one in found) for name in ("rows", "files", "bytes")}
        typer.echo(
            f"{len(found)} tables, {total['rows']:,} rows in {total['files']:,} files, {total['bytes']:,} bytes."
        )
