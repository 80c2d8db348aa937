"""`lakehouse intervals`: which windows of a table are loaded, and which are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.output import Format, Output, show

if TYPE_CHECKING:
    from lakehouse.ledger.events import Event
    from lakehouse.ledger.windows import Window

TABLE = typer.Option(help="The table, as bronze.orders or orders.")


def intervals(table: Annotated[str, TABLE], output: Output = Format.table) -> None:
    """Windows (low, high] of a table: covered, skipped (by `watermarks set`), gap, and loads that are open."""
    from lakehouse.cli.tables import one
    from lakehouse.pipeline.extract import source_of
    from lakehouse.pipeline.reconcile import reconciled_events

    contract = one(table)
    rows = told(reconciled_events(contract.name), source_of(contract).initial_value)
    show(rows, output, contract.name)


def told(events: Sequence[Event], initial: Any) -> list[dict[str, Any]]:
    """One row a window, lowest first; a gap is a hole below what is covered, or what an open load is to fill."""
    from lakehouse.ledger.state import covered, open_loads, skipped
    from lakehouse.ledger.windows import Window, difference

    whole, by_hand, loads = covered(events), skipped(events), open_loads(events)
    # Starts of windows that nothing covers yet are gaps too, as far as anybody has tried to load them.
    highs = [w.high for w in whole] + [w.high for load in loads for w in load.windows]
    gaps = difference([Window(initial, max(highs, default=initial))], whole)
    rows = [_row("covered", w) for w in difference(whole, by_hand)]
    rows += [_row("skipped", w) for w in by_hand] + [_row("gap", w) for w in gaps]
    rows += [_row("open", w, load) for load in loads for w in load.windows]
    return sorted(rows, key=lambda row: (row["low"], row["state"]))


def _row(state: str, window: Window, load: Event | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"state": state, "low": window.low.isoformat(), "high": window.high.isoformat()}
    return row | {"run_id": load.run_id if load else None, "batch_id": load.batch_id if load else None}
