"""WarehousePublishOperator: what changed in a published table goes to Snowflake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse_airflow.operators.table import TableOperator, without_retry


class WarehousePublishOperator(TableOperator):
    """Bring Snowflake to the table's latest version, in one transaction; returns what was sent. Twice sends once.

    Through the connection that the configuration names (`warehouse.connection`).

    :param table: a table whose contract sends it there.
    :param whole: send everything, whatever is there.
    """

    step = "warehouse"
    ui_color = "#d6eaf8"
    template_fields: Sequence[str] = ("table", "whole")

    def __init__(self, *, whole: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.whole = whole

    def execute(self, context: Any) -> dict[str, Any]:
        """Publish through Airflow's own connection."""
        from contextlib import closing

        from lakehouse.config import settings
        from lakehouse.warehouse import ColumnConflict, Mismatch, NotPublished, publish
        from lakehouse_airflow.hooks import open_source

        with closing(open_source(settings().warehouse.connection)) as connection:
            done = without_retry(
                lambda: publish(self.contract, connection, bool(self.whole), self.log.info),
                ColumnConflict,
                Mismatch,
                NotPublished,
            )
        row: dict[str, Any] = done.to_row()
        self.log.info("warehouse %s", row)
        return row
