"""OptimizeOperator: the upkeep of one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator


class OptimizeOperator(BaseOperator):
    """OPTIMIZE on a branch, VACUUM, dead branches, landing; returns sizes before and after. Safe beside any run.

    :param table: `layer.table`.
    :param zorder: columns to order by; None or []: what the table's contract says.
    :param hours: how long removed files are kept; 168 or more.
    :param dry_run: only tell what would be done.
    """

    step = "optimize"
    ui_color = "#d9d9d9"
    template_fields: Sequence[str] = ("table", "zorder", "hours", "dry_run")

    def __init__(
        self, *, table: str, zorder: Sequence[str] | None = None, hours: int = 168, dry_run: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.zorder = zorder
        self.hours = hours
        self.dry_run = dry_run

    def execute(self, context: Any) -> dict[str, Any]:
        """Maintain the table."""
        from lakehouse.maintenance import VacuumRefused, maintain
        from lakehouse.maintenance.optimize import ColumnUnknown
        from lakehouse_airflow.operators.table import without_retry

        done = without_retry(
            lambda: maintain(self.table, self.zorder or None, hours=int(self.hours), dry_run=bool(self.dry_run)),
            VacuumRefused,
            ColumnUnknown,
        )
        row: dict[str, Any] = done.to_row()
        self.log.info("upkeep %s", row)
        return row
