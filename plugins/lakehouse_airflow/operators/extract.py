"""ExtractOperator: source rows of the due windows into landing."""

from __future__ import annotations

from typing import Any

from lakehouse_airflow.operators.table import TableOperator


class ExtractOperator(TableOperator):
    """Land the rows that this run is due for; returns the batch.

    Safe to run again: the windows are in the ledger before the first row is read, and a retry reuses them.

    :param table: a bronze table, whose contract names its source and Airflow connection.
    """

    step = "extract"
    ui_color = "#d8e8f5"

    def execute(self, context: Any) -> dict[str, Any]:
        """Extract through the hook of the contract's connection."""
        from lakehouse.config import settings
        from lakehouse.pipeline.extract import extract, source_of
        from lakehouse_airflow.context import run_of
        from lakehouse_airflow.hooks import open_source, password

        contract = self.contract
        batch = extract(
            contract,
            run_of(context),
            lambda: open_source(source_of(contract).connection),
            lambda: password(settings().pii_key_connection),
        )
        return batch.to_dict()
