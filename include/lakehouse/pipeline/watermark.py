"""The published watermark follows the ledger, after the commit (ING-3); and what a person says of it.

It goes back only where somebody reopened windows, on record: a copy ahead of the ledger is left as it is otherwise.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import partial

from lakehouse import ledger, log, metrics, watermarks
from lakehouse.clock import now
from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered, was_reopened, watermark
from lakehouse.ledger.windows import Window, subtract
from lakehouse.metrics.measures import lagged
from lakehouse.pipeline.batch import Batch
from lakehouse.pipeline.extract import source_of
from lakehouse.pipeline.reconcile import reconciled_events


class WatermarkRefused(LakehouseError):
    """A watermark that cannot be set so."""


def advance_watermark(contract: Contract, batch: Batch) -> datetime:
    """Publish the watermark that the ledger implies; what the store holds afterwards. Never moves back (ING-4)."""
    with log.bound(batch, "advance_watermark"):
        held = follow(contract)
        reach("watermark.stored")
        metrics.emit(partial(lagged, contract, held))
        log.get().info("watermark", key=source_of(contract).watermark_key, value=held.isoformat())
        return held


def follow(contract: Contract) -> datetime:
    """Make the copy what ledger and table imply, without reading the source; what it is then."""
    return watermarks.store().update(source_of(contract).watermark_key, _decide(contract))


def _decide(contract: Contract) -> Callable[[datetime | None], datetime]:
    """What a copy should be. The ledger is read each time it is asked: after the store was."""
    initial = source_of(contract).initial_value

    def decide(held: datetime | None) -> datetime:
        events = reconciled_events(contract.name)
        implied = watermark(events, initial)
        reach("watermark.due")
        if held is None or implied >= held or was_reopened(events, held, initial):
            return implied
        return held

    return decide


def set_watermark(contract: Contract, value: datetime, by: str, reason: str) -> Event | None:
    """Put on record that loading goes on from `value`, by whom and why, and let the copy follow.

    Forward: what is uncovered below counts as covered (`skipped`). Back: everything above counts as uncovered
    (`reopened`) and is loaded again. None where ledger and copy stand there already. Raises WatermarkRefused.
    """
    source = source_of(contract)
    _check(contract, value, reason)
    events = reconciled_events(contract.name)
    stands, held = watermark(events, source.initial_value), watermarks.store().get(source.watermark_key)
    if value > stands:
        windows = subtract(Window(source.initial_value, value), covered(events))
    else:
        top = max([stands, *(w.high for w in covered(events)), *([held] if held else [])])
        windows = [Window(value, top)] if max(stands, held or stands) > value else []
    event = None
    if windows:
        told = {"by": by, "reason": reason, "from": stands.isoformat(), "to": value.isoformat()}
        event = Event(
            event="skipped" if value > stands else "reopened",
            table=contract.name,
            batch_id=str(uuid.uuid4()),
            load=0,
            attempt="",
            run_id=f"watermark/{uuid.uuid4()}",
            kind="set",
            windows=tuple(windows),
            contract=contract.fingerprint,
            detail=json.dumps(told),
        )
        ledger.append(event)
    follow(contract)
    return event


def _check(contract: Contract, value: datetime, reason: str) -> None:
    initial = source_of(contract).initial_value
    if not reason.strip():
        raise WatermarkRefused(f"The watermark of {contract.name} is not set without a reason.", "Say why: --reason.")
    if value < initial:
        raise WatermarkRefused(
            f"{value.isoformat()} is before the initialValue of {contract.name}, {initial.isoformat()}.",
            f"Set it to {initial.isoformat()} or later, or change initialValue in {contract.path}.",
        )
    if value > now():
        raise WatermarkRefused(
            f"{value.isoformat()} is in the future: rows that do not exist yet would be skipped.",
            "Set a moment that is past.",
        )
