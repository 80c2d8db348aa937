"""A batch as an event of the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lakehouse.clock import now
from lakehouse.ledger.events import Event, Name
from lakehouse.pipeline.batch import Batch


def event_of(batch: Batch, name: Name, at: datetime | None = None, **more: Any) -> Event:
    """The event `name` of `batch`; `more` gives version and detail."""
    return Event(
        event=name,
        table=batch.table,
        batch_id=batch.batch_id,
        load=batch.load,
        attempt=batch.attempt,
        run_id=batch.run.run_id,
        kind=batch.run.kind,
        windows=batch.windows,
        deliveries=batch.deliveries,
        consumed=batch.consumed,
        counts=batch.counts,
        contract=batch.contract,
        sql=batch.sql,
        trace_id=batch.run.trace_id,
        event_ts=at or now(),
        **more,
    )
