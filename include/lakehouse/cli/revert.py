"""`lakehouse revert`: take back one published change of a table."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.errors import LakehouseError

TABLE = typer.Argument(help="The table, as layer.table.")
VERSION = typer.Argument(help="The version whose change is taken back.")
REASON = typer.Option(help="Why; kept in the commit.")


def revert(
    table: Annotated[str, TABLE],
    version: Annotated[int, VERSION],
    reason: Annotated[str, REASON] = "",
    yes: Yes = False,
) -> None:
    """Undo one published change: remove what it added, add back what it removed, as a new version. Later changes stay.

    What the ledger says of loads stays as it is: windows that were loaded count as loaded.
    """
    from lakehouse import delta, paths
    from lakehouse.delta.log import commit_info

    path = paths.table(table)
    if delta.latest_version(path) < 0:
        raise LakehouseError(f"There is no published table '{table}'.", "See `lakehouse status` for names.")
    said = commit_info(path, version)
    what = f"{said.get('operation', 'a change')} {said.get('userMetadata', '')}"
    confirm(f"{table} version {version}: {what}", "Take it back?", yes)
    done = delta.revert(path, version, {"reverts": version, "by": getpass.getuser(), "reason": reason})
    if done.already:
        typer.echo(f"{table}: version {version} was taken back already, by version {done.version}.")
    else:
        typer.echo(
            f"{table}: version {done.version} takes back version {version}: "
            f"{done.rows_removed} rows removed, {done.rows_added} rows back."
        )
