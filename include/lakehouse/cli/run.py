"""`lakehouse run`: tables by selector, without Airflow, over the same steps."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer

from lakehouse.cli.output import Format, Output, show
from lakehouse.errors import LakehouseError

SELECTOR = typer.Argument(help="bronze.*, gold.fact_sales, +gold.fact_sales (with all it needs), or several.")
START = typer.Option(help="First day, YYYY-MM-DD, or a moment. Default: wherever the watermark is.")
END = typer.Option(help="Last day, included, or a moment. Default: now.")


def run(
    selector: Annotated[str, SELECTOR],
    start: Annotated[str | None, START] = None,
    end: Annotated[str | None, END] = None,
    output: Output = Format.table,
) -> None:
    """Extract, transform, audit and publish the selected tables.

    With --start, bronze tables load exactly (start, end]; without it, everything not yet covered up to the end.
    """
    from rich.console import Console

    from lakehouse import connections, manifest
    from lakehouse.clock import moment, now
    from lakehouse.pipeline.batch import Run
    from lakehouse.pipeline.run import run_tables

    low = moment(start, "start") if start else None
    high = moment(end, "end", last=True) if end else now()
    if low and low >= high:
        raise LakehouseError(f"--start {start} is not before --end {end}.", "Give an earlier start.")
    tables = manifest.load()
    entries = tables.select(selector)
    this = Run(f"cli/{uuid.uuid4()}", "backfill" if low else "manual", end=high, start=low)
    console = Console(stderr=True)
    with console.status("starting") as line:
        batches = run_tables(
            tables,
            entries,
            this,
            connections.open_source,
            pii_key,
            lambda table, step: line.update(f"{table}: {step}"),
        )
    show([outcome(batch) for batch in batches], output)


def pii_key() -> bytes:
    """The key that personal data is tokenised with."""
    from lakehouse import connections
    from lakehouse.config import settings

    return (connections.get(settings().pii_key_connection).password or "").encode()


def outcome(batch: Any) -> dict[str, Any]:
    """What one batch did, as a row to show."""
    counts = batch.counts
    return {
        "table": batch.table,
        "version": counts.get("version"),
        "new": counts.get("inserted", 0) + counts.get("superseded", 0),
        "changed": counts.get("updated", 0),
        "removed": counts.get("deleted", 0),
        "quarantined": counts.get("quarantined", 0),
        "duplicates": counts.get("duplicates", 0),
        "warnings": counts.get("warnings", 0),
    }
