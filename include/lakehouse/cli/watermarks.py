"""`lakehouse watermarks`: the published copies, and what the ledger says they should be."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.cli.output import Format, Output, show
from lakehouse.cli.tables import one, sourced
from lakehouse.clock import moment
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.contracts import Contract

app = typer.Typer(no_args_is_help=True, help="Watermarks: list, show, set, rebuild.")

KEY = typer.Argument(help="Table (bronze.orders, or orders) or key of a watermark.")
TO = typer.Argument(help="YYYY-MM-DD or a moment, in UTC.")
REASON = typer.Option(help="Why; kept in the ledger.")


@app.command("list")
def list_watermarks(output: Output = Format.table) -> None:
    """Every watermark: what the ledger implies, what the store holds, and whether they agree."""
    show([_row(contract) for contract in sourced()], output)


@app.command("show")
def show_watermark(key: Annotated[str, KEY], output: Output = Format.table) -> None:
    """One watermark, and everything that people have said of it."""
    from lakehouse import ledger

    contract = _named(key)
    told = [e for e in ledger.read(contract.name) if e.event in ("skipped", "reopened")]
    said = [{"at": e.event_ts.isoformat(timespec="seconds"), "event": e.event, "said": e.detail} for e in told]
    if output is Format.json:
        show([{**_row(contract), "set": said}], output)
        return
    show([_row(contract)], output)
    if said:
        show(said, output)


@app.command("set")
def set_watermark(
    key: Annotated[str, KEY], to: Annotated[str, TO], reason: Annotated[str, REASON], yes: Yes = False
) -> None:
    """Go on loading from a moment. Back: all windows above are loaded again. Forward: windows below are skipped.

    Rows that are in the table already are not loaded twice. Who and why is kept in the ledger.
    """
    from lakehouse.pipeline import watermark

    contract, value = _named(key), moment(to, "to")
    row = _row(contract)
    stands = datetime.fromisoformat(row["ledger"])
    does = "loads again everything after" if value < stands else "skips what is not loaded up to"
    confirm(f"{contract.name} stands at {row['ledger']}; this {does} {value.isoformat()}.", "Set it?", yes)
    event = watermark.set_watermark(contract, value, getpass.getuser(), reason)
    if event is None:
        typer.echo(f"{row['key']} stands at {value.isoformat()} already.")
        return
    spans = ", ".join(f"({w.low.isoformat()}, {w.high.isoformat()}]" for w in event.windows)
    typer.echo(f"{row['key']}: {event.event} {spans}; it stands at {_row(contract)['stored']}.")


@app.command()
def rebuild(output: Output = Format.table) -> None:
    """Write every copy anew from ledger and tables; no source is read. Exit code 1 where a copy is ahead of them.

    A copy goes back only where `set` put that on record.
    """
    from lakehouse.pipeline.watermark import follow

    rows = []
    for contract in sourced():
        follow(contract)
        rows.append(_row(contract))
    show(rows, output)
    ahead = [row["key"] for row in rows if row["state"] == "ahead"]
    if ahead:
        typer.echo(
            f"{', '.join(ahead)}: the copy is ahead of ledger and tables. The next run loads what is between again; "
            "or put it back with `lakehouse watermarks set`.",
            err=True,
        )
        raise typer.Exit(1)


def _named(name: str) -> Contract:
    """The contract whose table or watermark key is `name`. Raises LakehouseError."""
    known = {c.source.watermark_key: c for c in sourced() if c.source}
    if name in known:
        return known[name]
    try:
        return one(name)
    except LakehouseError as error:
        raise type(error)(error.what, f"Name a table, or one of: {', '.join(known)}.") from error


def _row(contract: Contract) -> dict[str, Any]:
    from lakehouse import watermarks
    from lakehouse.ledger.state import watermark
    from lakehouse.pipeline.extract import source_of
    from lakehouse.pipeline.reconcile import reconciled_events

    source = source_of(contract)
    implied = watermark(reconciled_events(contract.name), source.initial_value)
    stored = watermarks.store().get(source.watermark_key)
    state = "missing" if stored is None else "ok"
    if stored is not None and stored != implied:
        state = "behind" if stored < implied else "ahead"
    return {
        "key": source.watermark_key,
        "table": contract.name,
        "ledger": implied.isoformat(),
        "stored": stored.isoformat() if stored else None,
        "state": state,
    }
