"""WatermarkUpdateOperator: the published watermark follows the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse_airflow.operators.table import TableOperator


class WatermarkUpdateOperator(TableOperator):
    """Publish the watermark that the ledger implies, after the commit, never backwards; returns it as text.

    :param table: a bronze table.
    :param batch: the batch that was published.
    """

    step = "advance_watermark"
    ui_color = "#e4dcf2"
    template_fields: Sequence[str] = ("table", "batch")

    def __init__(self, *, batch: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch = batch

    def execute(self, context: Any) -> str:
        """Advance the copy in SSM or the embedded store."""
        from lakehouse.pipeline.batch import Batch
        from lakehouse.pipeline.watermark import advance_watermark

        return advance_watermark(self.contract, Batch.from_dict(self.batch)).isoformat()
