"""SparkTransformOperator: the table as it would be, on a private branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse_airflow.operators.table import TableOperator, batches_by_table, without_retry


class TransformOperator(TableOperator):
    """A table's transform, wherever it is done: what it is given. Not for use by itself.

    :param table: `layer.table`.
    :param batch: the extract's batch, for a bronze table.
    :param candidates: batches of tables in the same publish group that this table reads before they are published.
    """

    step = "transform"
    ui_color = "#f5e6c8"
    template_fields: Sequence[str] = ("table", "batch", "candidates")

    def __init__(
        self, *, batch: dict[str, Any] | None = None, candidates: Sequence[dict[str, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.batch = batch
        self.candidates = candidates


class SparkTransformOperator(TransformOperator):
    """Bronze: judge the landed rows of `batch`. Silver, gold: run transform.sql. Returns the batch with its branch.

    Nothing published changes; a killed attempt can hurt nothing but its own branch.

    :param table: `layer.table`.
    :param batch: the extract's batch, for a bronze table.
    :param candidates: batches of tables in the same publish group that this table reads before they are published.
    """

    def execute(self, context: Any) -> dict[str, Any]:
        """Work on a branch."""
        from lakehouse.bronze.load import LoadFailed
        from lakehouse.contracts import ContractError
        from lakehouse.pipeline.batch import Batch
        from lakehouse.pipeline.transform import compute, load_landed
        from lakehouse.transform.apply import TransformFailed
        from lakehouse_airflow.context import run_of

        def work() -> Batch:
            contract = self.contract
            if self.batch is not None:
                return load_landed(contract, Batch.from_dict(self.batch))
            return compute(contract, run_of(context), batches_by_table(self.candidates))

        batch: Batch = without_retry(work, LoadFailed, TransformFailed, ContractError)
        return batch.to_dict()
