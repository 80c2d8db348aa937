"""BackfillOperator: a range of days once more, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator


class BackfillOperator(BaseOperator):
    """Plan or do a backfill, as `lakehouse backfill` does; a retry goes on where the attempt before it was.

    Returns a row a table: what would be done, or what was.

    :param table: `orders` (that source and all below it) or `layer.table`; several with commas.
    :param start: first day; None or "": the last one, or where there is none the day before the run.
    :param end: last day, included; None or "": the first one.
    :param origin: bronze or source, what to start from.
    :param dry_run: only tell what would be done.
    """

    step = "backfill"
    ui_color = "#e3d8f5"
    template_fields: Sequence[str] = ("table", "start", "end", "origin", "dry_run")

    def __init__(
        self,
        *,
        table: str,
        start: str | None = None,
        end: str | None = None,
        origin: str = "bronze",
        dry_run: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.start = start
        self.end = end
        self.origin = origin
        self.dry_run = dry_run

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Plan, and without `dry_run` do it, its sources opened through Airflow's hooks."""
        from lakehouse import backfill, manifest
        from lakehouse.config import settings
        from lakehouse_airflow.hooks import open_source, password
        from lakehouse_airflow.operators.table import without_retry

        before = (context["dag_run"].run_after - timedelta(days=1)).date().isoformat()
        first, last = self.start or self.end or before, self.end or self.start or before
        tables = manifest.load()
        plan = without_retry(
            lambda: backfill.plan(tables, backfill.Request.typed([self.table], first, last, self.origin)),
            backfill.BackfillRefused,
            backfill.NameUnclear,
            manifest.ManifestError,
        )
        if self.dry_run:
            rows = [step.to_row() for step in plan.steps]
            self.log.info("would do %s", rows)
            return rows
        key = settings().pii_key_connection
        done = backfill.work(
            tables, plan, open_source, lambda: password(key), lambda place, step: self.log.info("%s: %s", place, step)
        )
        return [{"backfill": done.backfill_id, "table": batch.table, **batch.counts} for batch in done.batches]
