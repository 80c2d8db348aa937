"""`lakehouse revert`: take back one published change of a table."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from lakehouse.errors import LakehouseError

TABLE = typer.Argument(help="The table, as layer.table.")
VERSION = typer.Argument(help="The version whose change is taken back.")
REASON = typer.Option(help="Why; kept in the commit.")
YES = typer.Option("--yes", "-y", help="Do not ask.")


class NotConfirmed(LakehouseError):
    """Nobody said yes."""


def revert(
    table: Annotated[str, TABLE],
    version: Annotated[int, VERSION],
    reason: Annotated[str, REASON] = "",
    yes: Annotated[bool, YES] = False,
) -> None:
    """Undo one published change: remove what it added, add back what it removed, as a new version. Later changes stay.

    What the ledger says of loads stays as it is: windows that were loaded count as loaded.
    """
    from lakehouse import delta, paths
    from lakehouse.delta.log import commit_info

    path = paths.table(table)
    if delta.latest_version(path) < 0:
        raise LakehouseError(f"There is no published table '{table}'.", "See `lakehouse status` for names.")
    if not yes:
        if not _terminal():
            raise NotConfirmed("There is no terminal to ask on.", "Say --yes to take the change back unasked.")
        said = commit_info(path, version)
        what = f"{said.get('operation', 'a change')} {said.get('userMetadata', '')}"
        typer.echo(f"{table} version {version}: {what}", err=True)
        if not typer.confirm("Take it back?", err=True):
            raise NotConfirmed("Nothing was changed.", "Answer y to take the change back.")
    done = delta.revert(path, version, {"reverts": version, "by": getpass.getuser(), "reason": reason})
    if done.already:
        typer.echo(f"{table}: version {version} was taken back already, by version {done.version}.")
    else:
        typer.echo(
            f"{table}: version {done.version} takes back version {version}: "
            f"{done.rows_removed} rows removed, {done.rows_added} rows back."
        )


def _terminal() -> bool:
    return sys.stdin.isatty()
