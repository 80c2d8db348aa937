"""Ledger and tables brought together: what committed and is not on record is put on record (ING-3).

A publisher died before it could say so, or the ledger lost its newest events. The tables' transactions tell which
loads there were, and their commits the rest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakehouse import ledger, log, paths
from lakehouse.clock import now
from lakehouse.ledger.events import Event, once
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    from lakehouse.delta import Commit

#: Counts of which a publish that committed has some.
ROWS = ("inserted", "updated", "deleted", "superseded")


def reconciled_events(table: str) -> list[Event]:
    """The events of `table`, completed by the publishes its Delta log knows of and the ledger does not."""
    from lakehouse.delta import transactions

    events = ledger.read(table)
    path, prefix = paths.table(table), f"{table}/"
    known = {(e.batch_id, e.load): e for e in events if e.event == "published"}
    missing = []
    for app_id, last in transactions(path, prefix).items():
        batch_id = app_id.removeprefix(prefix)
        for load in range(1, last + 1):
            there = known.get((batch_id, load))
            if there is None or not any(there.counts.get(name) for name in ROWS):
                found = _published(events, path, app_id, Event("published", table, batch_id, load, "", "", ""), last)
                # What is on record may be another run's that found nothing new, and nothing is if the log says no more.
                missing += [e for e in found if there is None or e.version > there.version]
    if not missing:
        return events
    missing.sort(key=lambda event: (event.version, event.event_ts))
    log.get().warning("reconciled", table=table, loads=len(missing))
    ledger.append(*missing)
    return once(sorted([*events, *missing], key=lambda event: event.event_ts))


def _published(events: list[Event], path: str, app_id: str, bare: Event, last: int) -> list[Event]:
    """The event that the publisher of `bare` did not live to write, or that was lost. None for an empty load.

    The newest load of a batch is given even where its commit is gone from the log: its number must not be used again.
    """
    from lakehouse.delta import Commit, commit_of

    commit = commit_of(path, app_id, bare.load)
    if commit is None and bare.load < last:
        return []
    commit = commit or Commit()
    started = [e for e in events if e.event == "started" and (e.batch_id, e.load) == (bare.batch_id, bare.load)]
    known = replace(started[-1], event="published") if started else replace(bare, **_told(commit))
    return [
        replace(
            known,
            event_ts=commit.at or now(),
            version=commit.version,
            counts=commit.metadata.get("counts", {}),
            detail="reconciled from the Delta log",
        )
    ]


def _told(commit: Commit) -> dict[str, Any]:
    """What a commit says of its load; without windows, which then count as uncovered, where it is gone."""
    said = commit.metadata
    windows = tuple(Window(*map(datetime.fromisoformat, pair)) for pair in said.get("windows", ()))
    names = ("attempt", "run_id", "kind", "contract", "sql", "trace_id")
    return {
        **{name: said.get(name, "") for name in names},
        "windows": windows,
        "deliveries": tuple(said.get("deliveries", ())),
        "consumed": said.get("consumed", {}),
    }
