"""`lakehouse metrics`: how old every table is and how far its watermark is behind, now."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lakehouse.cli.output import Format, Output, show

SEND = typer.Option("--send", help="Hand the numbers to the configured sinks too.")


def metrics(send: Annotated[bool, SEND] = False, output: Output = Format.table) -> None:
    """Freshness and watermark lag of every table, in seconds, from the Delta logs and the ledger. No Spark."""
    from pathlib import Path

    from lakehouse import manifest
    from lakehouse import metrics as room
    from lakehouse.contracts import load_contract
    from lakehouse.metrics.measures import standing

    samples = [s for entry in manifest.load().entries for s in standing(load_contract(Path(entry.folder)))]
    rows: list[dict[str, Any]] = [{"metric": s.name, "table": s.table, "value": round(s.value, 1)} for s in samples]
    show(rows, output)
    if send:
        room.emit(lambda: samples)
