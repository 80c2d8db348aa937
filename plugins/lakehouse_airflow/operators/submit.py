"""SubmitTransformOperator: a table's transform by spark-submit, through the provider's own operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.common.compat.sdk import AirflowException

from lakehouse.config import settings
from lakehouse.errors import ConfigError
from lakehouse.sections import SubmitJobs
from lakehouse_airflow.operators.job import TransformJobOperator


class SubmitTransformOperator(TransformJobOperator, SparkSubmitOperator):
    """Submits the job to the master of the connection, its driver on this machine; returns the batch with its branch.

    :param table: `layer.table`.
    :param batch: the extract's batch, for a bronze table.
    :param candidates: batches of tables in the same publish group that this table reads before they are published.
    """

    template_fields: Sequence[str] = ("table", "batch", "candidates")
    operator_extra_links = TransformJobOperator.operator_extra_links

    def __init__(self, *, table: str, **kwargs: Any) -> None:
        super().__init__(
            table=table,
            conn_id=self._jobs().connection,
            deploy_mode="client",
            # A driver on this machine ends with it: there is nothing to find again.
            durable=False,
            openlineage_inject_parent_job_info=False,
            openlineage_inject_transport_info=False,
            **kwargs,
        )

    @staticmethod
    def _jobs() -> SubmitJobs:
        jobs = settings().jobs
        if not isinstance(jobs, SubmitJobs):
            raise ConfigError("The configuration has no spark.jobs of kind spark_submit.", "See docs/deploy.md.")
        return jobs

    def execute(self, context: Any) -> Any:
        """Submit, wait, and read the report."""
        from lakehouse.jobs import submit

        asked = self.ask(context)
        self.name = asked.name
        self.application, self.py_files = asked.package.entry, asked.package.archive
        self.application_args = asked.order.arguments()
        self.conf = submit.spark_settings(asked.package, self._jobs().conf)
        try:
            super().execute(context)
        except AirflowException as error:
            # Its text is the command with all its arguments.
            self.log.error("spark-submit: %s", type(error).__name__)
            return self.failed(context, "of spark-submit failed", "this task's log")
        return self.answer(context)
