"""StreamOperator: a topic's new records into the table's landing, by Structured Streaming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse_airflow.operators.table import TableOperator, without_retry


class StreamOperator(TableOperator):
    """Land what the table's topic has, each offset once; returns what came.

    Safe to run again: it goes on where the landed records end. The table's ExtractOperator takes them from there.

    :param table: a bronze table whose source is a topic.
    :param trigger: available-now: what is there; continuous: what comes, too, for `minutes`.
    :param minutes: how long a continuous stream runs.
    """

    step = "stream"
    ui_color = "#d8e8f5"
    template_fields: Sequence[str] = ("table", "trigger", "minutes")

    def __init__(self, *, trigger: str = "available-now", minutes: float = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trigger = trigger
        self.minutes = minutes

    def execute(self, context: Any) -> dict[str, Any]:
        """Stream through the contract's connection."""
        from functools import partial

        from lakehouse import metrics
        from lakehouse.metrics.measures import streamed
        from lakehouse.pipeline.extract import source_of
        from lakehouse.stream.land import TopicRecreated, stream
        from lakehouse.stream.offsets import OffsetsLost
        from lakehouse_airflow.hooks import open_source

        contract = self.contract
        source = source_of(contract)
        broker = open_source(source.connection)
        try:
            done = without_retry(
                lambda: stream(contract, source, broker, self.trigger, 60 * float(self.minutes), self.log.info),
                OffsetsLost,
                TopicRecreated,
            )
        finally:
            broker.close()
        metrics.emit(partial(streamed, done))
        row: dict[str, Any] = done.to_row()
        return row
