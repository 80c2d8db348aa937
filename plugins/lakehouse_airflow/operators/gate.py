"""DataQualityGateOperator: the contract's Great Expectations suite over the branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse_airflow.data_docs import DataDocsLink
from lakehouse_airflow.operators.table import TableOperator, batches_by_table, without_retry


class DataQualityGateOperator(TableOperator):
    """Audit the table exactly as it would be. A critical failure fails the task, and nothing is published.

    A rule that warns mails the table's owner once, and the batch goes on.

    :param table: `layer.table`.
    :param batch: the transform's batch.
    :param candidates: batches of the same publish group that references are checked against.
    """

    step = "dq_gate"
    ui_color = "#f5d0d0"
    operator_extra_links = (DataDocsLink(),)
    template_fields: Sequence[str] = ("table", "batch", "candidates")

    def __init__(
        self, *, batch: dict[str, Any], candidates: Sequence[dict[str, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.candidates = candidates

    def execute(self, context: Any) -> dict[str, Any]:
        """Check every rule; returns the audited batch."""
        from lakehouse.pipeline.batch import Batch
        from lakehouse.pipeline.gate import gate
        from lakehouse.quality import GateFailed
        from lakehouse_airflow.warnings import teller

        batch, tell = Batch.from_dict(self.batch), teller(context["dag_run"], self.log)
        audited: Batch = without_retry(
            lambda: gate(self.contract, batch, batches_by_table(self.candidates), tell), GateFailed
        )
        return audited.to_dict()
