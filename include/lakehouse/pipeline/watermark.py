"""The last step of a bronze load: the published watermark follows the ledger, after the commit (ING-3)."""

from __future__ import annotations

from datetime import datetime

from lakehouse import log, watermarks
from lakehouse.contracts.model import Contract
from lakehouse.killpoints import reach
from lakehouse.ledger.state import watermark
from lakehouse.pipeline.batch import Batch
from lakehouse.pipeline.extract import source_of
from lakehouse.pipeline.reconcile import reconciled_events


def advance_watermark(contract: Contract, batch: Batch) -> datetime:
    """Publish the watermark that the ledger implies; what the store holds afterwards. Never moves back (ING-4)."""
    source = source_of(contract)
    with log.bound(batch, "advance_watermark"):
        implied = watermark(reconciled_events(contract.name), source.initial_value)
        reach("watermark.due")
        held = watermarks.store().advance(source.watermark_key, implied)
        reach("watermark.stored")
        log.get().info("watermark", key=source.watermark_key, value=held.isoformat())
        return held
