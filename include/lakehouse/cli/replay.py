"""`lakehouse replay`: loads of a bronze table once more, from their landing files."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show
from lakehouse.errors import LakehouseError

TABLE = typer.Argument(help="The table, as bronze.orders or orders.")
BATCH = typer.Option(help="Id of a batch, or its beginning: all its loads.")
START = typer.Option(help="With --end: every load that loaded any of these days or moments.")
END = typer.Option(help="Last day, included, or a moment.")


def replay(
    table: Annotated[str, TABLE],
    batch: Annotated[str, BATCH] = "",
    start: Annotated[str, START] = "",
    end: Annotated[str, END] = "",
    output: Output = Format.table,
) -> None:
    """Judge, audit and publish the landing files of earlier loads again, without the source.

    Rows that are in the table already are not loaded twice, however often this is repeated.
    """
    from rich.console import Console

    from lakehouse.cli.run import outcome
    from lakehouse.cli.tables import one
    from lakehouse.clock import moment
    from lakehouse.ledger.windows import Window
    from lakehouse.pipeline.replay import check_landing, loads_of, replay_load

    if bool(batch) == bool(start and end) or bool(start) != bool(end):
        raise LakehouseError("It is not said which loads are meant.", "Give --batch, or --start and --end.")
    window = Window(moment(start, "start"), moment(end, "end", last=True)) if start else None
    contract = one(table)
    loads = loads_of(contract, batch, window)
    check_landing(contract, loads)
    rows = []
    with Console(stderr=True).status("starting") as line:
        for number, load in enumerate(loads, 1):
            where = f"{contract.name}: load {number} of {len(loads)}"
            done = replay_load(contract, load, lambda step, where=where: line.update(f"{where}: {step}"))  # type: ignore[misc]
            rows.append({**outcome(done), "replays": done.replays})
    show(rows, output)
