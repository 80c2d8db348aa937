"""PublishOperator: audited branches become the tables, each by one fast-forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator


class PublishOperator(BaseOperator):
    """Publish one audited batch, or those of a publish group together. Running it twice publishes once.

    Where another publish came between, a batch is worked and audited again: what its gate warns of then is mailed.

    Outlets that are assets of published tables get version and rows with their event (`lakehouse_airflow.assets`). A
    backfill run tells of none: those who wait for them hear of it with the next scheduled run.

    :param batches: the gates' batches.
    """

    step = "publish"
    ui_color = "#cfe8cf"
    template_fields: Sequence[str] = ("batches",)

    def __init__(self, *, batches: Sequence[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Fast-forward; returns the published batches."""
        from lakehouse.manifest import load
        from lakehouse.pipeline.batch import Batch
        from lakehouse.pipeline.run import publish_group
        from lakehouse.quality import GateFailed
        from lakehouse_airflow.assets import tell
        from lakehouse_airflow.context import is_backfill
        from lakehouse_airflow.operators.table import without_retry
        from lakehouse_airflow.warnings import teller

        if is_backfill(context):
            # A month of past days is no month of news: whoever waits for the table would run once a day of it.
            self.outlets = []
        batches, heard = [Batch.from_dict(b) for b in self.batches], teller(context["dag_run"], self.log)
        published = without_retry(lambda: publish_group(load(), batches, tell=heard), GateFailed)
        done = [batch.to_dict() for batch in published]
        tell(context["outlet_events"], self.outlets, done)
        return done

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Inputs and outputs, declared from the contracts."""
        from lakehouse_airflow.lineage import of_step

        return of_step(self.step, [batch["table"] for batch in self.batches])
