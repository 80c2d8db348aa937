"""`lakehouse contracts`: check every table folder."""

from __future__ import annotations

import sys

import typer

app = typer.Typer(no_args_is_help=True, help="Table contracts.")


@app.callback()
def contracts() -> None:
    """Table contracts."""


@app.command()
def lint() -> None:
    """Check every contract and transform.sql; exit 1 and name file, line and remedy for each fault."""
    from lakehouse import manifest
    from lakehouse.config import settings
    from lakehouse.contracts import load_contract
    from lakehouse.errors import LakehouseError
    from lakehouse.transform.columns import check_columns
    from lakehouse.transform.precedence import check_precedence
    from lakehouse.transform.sql import parse_transform

    folders = manifest.folders(settings().tables)
    known = {}
    faults = 0
    for folder in folders:
        try:
            contract = load_contract(folder)
            known[contract.name] = contract
        except LakehouseError as error:
            faults += 1
            sys.stderr.write(f"{error}\n")
    if not faults:
        manifest.compile_manifest(folders)
        for contract in (c for c in known.values() if not c.source):
            try:
                transform = parse_transform(contract.path.parent)
                check_columns(contract, transform)
                check_precedence(contract, transform, known)
            except LakehouseError as error:
                faults += 1
                sys.stderr.write(f"{error}\n")
    typer.echo(f"{len(folders)} contracts, {faults} with faults.")
    if faults:
        raise typer.Exit(1)
