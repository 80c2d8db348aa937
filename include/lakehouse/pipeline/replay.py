"""Replays: what landed once is loaded again, through the same judge, branch, gate and publish; no source is asked.

A replay is a batch of its own, named after what it loads again: repeated or killed halfway, it ends the same. Either a
load's landing files (ING-8), or the rows that quarantine kept of a table (CON-4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lakehouse import ledger, paths
from lakehouse.clock import now
from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.ingest.kept import land_kept
from lakehouse.ingest.landing import is_whole, rows_in
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import next_load
from lakehouse.ledger.windows import Window, difference, subtract
from lakehouse.pipeline.batch import Batch, Run, new_attempt, replay_batch_id
from lakehouse.pipeline.events import event_of
from lakehouse.pipeline.gate import gate
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.reconcile import reconciled_events
from lakehouse.pipeline.transform import load_landed
from lakehouse.pipeline.watermark import advance_watermark
from lakehouse.quarantine import Kept

Progress = Callable[[str], None]


class LandingGone(LakehouseError):
    """Landing files that a replay needs are not there, or not all of them."""


class LoadUnknown(LakehouseError):
    """No load on record is meant."""


def loads_of(contract: Contract, batch: str = "", window: Window | None = None) -> list[Event]:
    """The loads, oldest first, of the batch whose id begins with `batch`, or that loaded any of `window`.

    Replays are not among them. Raises LoadUnknown where there is none, or several batches begin so.
    """
    latest: dict[tuple[str, int], Event] = {}
    for event in reconciled_events(contract.name):
        if event.event in ("started", "published") and event.windows:
            latest[event.batch_id, event.load] = event
    found = [event for event in latest.values() if event.kind != "replay"]
    if batch:
        found = [event for event in found if event.batch_id.startswith(batch)]
        if len({event.batch_id for event in found}) > 1:
            raise LoadUnknown(f"Several batches of {contract.name} begin with '{batch}'.", "Give more of the id.")
    if window:
        published = [span for event in found if event.event == "published" for span in event.windows]
        found = [
            event
            for event in found
            if subtract(window, event.windows) != [window]
            # What died on the way, and was loaded by another load since, is no load to be replayed.
            and (event.event == "published" or difference(event.windows, published))
        ]
    if not found:
        meant = f"batch '{batch}'" if batch or not window else f"({window.low.isoformat()}, {window.high.isoformat()}]"
        raise LoadUnknown(
            f"No load of {contract.name} is on record for {meant}.",
            f"See `lakehouse intervals --table {contract.name}` for what was loaded.",
        )
    return sorted(found, key=lambda event: event.windows[0])


def check_landing(contract: Contract, loads: Sequence[Event]) -> None:
    """Raise LandingGone unless every load's landing files are there, whole."""
    for event in loads:
        folder = paths.landing(contract.name, event.batch_id, event.load)
        if not is_whole(folder):
            start, end = event.windows[0].low, event.windows[-1].high
            raise LandingGone(
                f"{contract.name}: the landing files of batch {event.batch_id}, load {event.load}, are not all there "
                f"({folder}).",
                f"Load from the source instead: `lakehouse run {contract.name} --start {start.isoformat()} "
                f"--end {end.isoformat()}`.",
            )


def replay_load(contract: Contract, load: Event, progress: Progress) -> Batch:
    """Load the landing files of `load` again. Its windows and deliveries count as loaded by this, if they did not.

    Raises LandingGone, and what the steps raise.
    """
    check_landing(contract, [load])
    origin = f"{load.batch_id}/{load.load}"
    run = Run(f"replay/{origin}", "replay", end=load.windows[-1].high, start=load.windows[0].low)
    batch = _batch(contract, run, origin)
    batch = replace(batch, windows=load.windows, deliveries=load.deliveries, replays=origin)
    _begin(batch, f"replays {origin}")
    return _load(contract, batch, rows_in(paths.landing(contract.name, *batch.landing)), progress)


def replay_kept(contract: Contract, rows: Sequence[Kept], pii_key: Callable[[], bytes], progress: Progress) -> Batch:
    """Judge rows of quarantine (their content included) under today's contract, and publish those that pass.

    The same rows under the same contract are the same batch. It covers no window.
    """
    ids = hashlib.sha256("\n".join(sorted(row.quarantine_id for row in rows)).encode()).hexdigest()
    what = f"quarantine/{ids}/{contract.fingerprint}"
    run = Run(f"replay/quarantine/{ids[:32]}", "replay", end=max(row.quarantined_ts for row in rows))
    batch = _batch(contract, run, what)
    _begin(batch, f"replays {len(rows)} rows of quarantine")
    key = pii_key() if any(column.protect for column in contract.columns) else b""
    land_kept(contract, [row.row for row in rows], paths.landing(contract.name, *batch.landing), key)
    return _load(contract, batch, len(rows), progress)


def _batch(contract: Contract, run: Run, what: str) -> Batch:
    """The batch that loads `what` again; a retry has the number and the time of the attempt before it."""
    events, batch_id = reconciled_events(contract.name), replay_batch_id(contract, what)
    load, attempt = next_load(events, batch_id), new_attempt(contract.name, run)
    earlier = [e for e in events if e.event == "started" and (e.batch_id, e.load) == (batch_id, load)]
    started = earlier[0].event_ts if earlier else now()
    return Batch(contract.name, batch_id, load, attempt, run, started, contract=contract.fingerprint)


def _begin(batch: Batch, detail: str) -> None:
    """The load on record before its first row, once."""
    if not any(
        e.event == "started" and e.load == batch.load for e in ledger.read(batch.table) if e.batch_id == batch.batch_id
    ):
        ledger.append(event_of(batch, "started", at=batch.started_ts, detail=detail))


def _load(contract: Contract, batch: Batch, rows: int, progress: Progress) -> Batch:
    def worked(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        progress("transform")
        loaded = load_landed(contract, batch)
        progress("gate")
        return gate(contract, loaded, candidates)

    loaded = worked(batch.with_counts(extracted=rows), {})
    progress("publish")
    (published,) = publish([loaded], worked)
    advance_watermark(contract, published)
    return published
