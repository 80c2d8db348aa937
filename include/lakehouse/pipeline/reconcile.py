"""Ledger and tables brought together: a load that committed but died before saying so is put on record (ING-3)."""

from __future__ import annotations

from dataclasses import replace

from lakehouse import ledger, log, paths
from lakehouse.clock import now
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import open_loads


def _published(started: Event) -> Event:
    """The event that the publisher of `started` did not live to write; version and counts as its commit has them."""
    from lakehouse.delta import commit_metadata
    from lakehouse.delta.log import committed_at

    path = paths.table(started.table)
    version = committed_at(path, f"{started.table}/{started.batch_id}", started.load, -1)
    told = (commit_metadata(path, version) or {}) if version is not None else {}
    return replace(
        started,
        event="published",
        event_ts=now(),
        version=-1 if version is None else version,
        counts=told.get("counts", {}),
        detail="reconciled from the Delta log",
    )


def reconciled_events(table: str) -> list[Event]:
    """The events of `table`, completed by the publishes its Delta log knows of and the ledger does not."""
    from lakehouse.delta import transaction_version

    events = ledger.read(table)
    missing = []
    for started in open_loads(events):
        committed = transaction_version(paths.table(table), f"{table}/{started.batch_id}")
        if committed is not None and committed >= started.load:
            missing.append(_published(started))
    if missing:
        log.get().warning("reconciled", table=table, loads=len(missing))
        ledger.append(*missing)
    return [*events, *missing]
