"""Tables as Airflow assets: a publish tells which version a table has now, and how many rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Asset


def asset(name: str) -> Asset:
    """The asset of the table `layer.table`. A DAG that waits for the table is scheduled on it."""
    # A URI with a scheme makes Airflow import every provider that knows one, in every parse.
    return Asset(name=name, group="lakehouse")


def tell(events: Mapping[Any, Any], outlets: Iterable[Any], batches: Iterable[Mapping[str, Any]]) -> None:
    """Put version, rows and batch of each published table on the event of its outlet.

    `events` is the task's `outlet_events`. Rows are those of the whole table.
    """
    from lakehouse import paths
    from lakehouse.delta import table_stats

    published = {batch["table"]: batch for batch in batches}
    for outlet in outlets:
        batch = published.get(outlet.name) if isinstance(outlet, Asset) else None
        if batch:
            told = {"version": batch["counts"]["version"], "rows": table_stats(paths.table(outlet.name)).rows}
            events[outlet].extra = {**told, "batch_id": batch["batch_id"]}
