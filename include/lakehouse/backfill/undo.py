"""A published backfill is taken back: each of its commits by one that undoes it, its windows as uncovered as before."""

from __future__ import annotations

import json

from lakehouse import ledger, paths
from lakehouse.backfill import record
from lakehouse.backfill.record import Record
from lakehouse.backfill.request import BackfillRefused
from lakehouse.contracts import load_contract
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered
from lakehouse.ledger.windows import difference
from lakehouse.manifest import Manifest
from lakehouse.pipeline.reconcile import reconciled_events
from lakehouse.pipeline.watermark import follow


def undo(manifest: Manifest, beginning: str, by: str) -> dict[str, list[int]]:
    """Take back the backfill whose id begins so; {table: its versions that are taken back}, readers first.

    Windows that it loaded are uncovered again, and the watermark goes back with them. Killed half-way, it goes on.
    Raises BackfillRefused, before anything is changed, where rows of one of its tables were changed since, and
    RevertRefused where a change cannot be taken back (it made the table or changed its columns; files are gone).
    """
    from lakehouse.delta import check_revert, revert, reverted_versions

    found = record.one(beginning)
    if found.state == "staged":
        raise BackfillRefused(
            f"Backfill {found.backfill_id[:8]} is staged: nothing of it is published.",
            "Leave it: its branches are collected in time (`lakehouse branch collect`).",
        )
    if found.state == "undone":
        raise BackfillRefused(f"Backfill {found.backfill_id[:8]} was taken back already.", "Nothing is to be done.")
    names = [entry.name for entry in reversed(manifest.entries) if entry.name in found.tables]
    versions = {name: _versions(name, found) for name in names}
    for name, own in versions.items():
        if own and set(own) <= reverted_versions(paths.table(name)):
            continue  # An undo before this one came so far.
        _check_later(name, own)
        for version in own:
            check_revert(paths.table(name), version)
    for name, own in versions.items():
        for version in own:
            told = {"reverts": version, "by": by, "reason": f"undo of backfill {found.backfill_id}"}
            revert(paths.table(name), version, told)
        _reopen(name, found, by)
    record.append("undone", found.backfill_id, found.request, found.tables)
    return {name: own for name, own in versions.items() if own}


def _mine(event: Event, found: Record) -> bool:
    return event.run_id == found.run_id or event.run_id.startswith(f"{found.run_id}/")


def _versions(table: str, found: Record) -> list[int]:
    """Versions of the table that the backfill committed, the newest first."""
    from lakehouse.delta import commit_of

    own = [event for event in reconciled_events(table) if event.event == "published" and _mine(event, found)]
    commits = [commit_of(paths.table(table), f"{table}/{e.batch_id}", e.load) for e in own]
    return sorted((commit.version for commit in commits if commit), reverse=True)


def _check_later(table: str, own: list[int]) -> None:
    """Raise BackfillRefused where a version after the backfill's first changed rows, and is none of its own or their
    undoing."""
    from lakehouse.delta import changed_since, latest_version
    from lakehouse.delta.log import commit_info

    path = paths.table(table)
    undoing = {str(version) for version in own}
    for version in range(min(own) + 1, latest_version(path) + 1) if own else ():
        if version in own or not changed_since(path, version - 1, version):
            continue
        said = commit_info(path, version)
        if said.get("operation") == "REVERT" and said.get("operationParameters", {}).get("version") in undoing:
            continue
        raise BackfillRefused(
            f"{table}: version {version} changed rows after the backfill's version {max(own)}.",
            "Take back the later change first, or mend the rows by a backfill of their own.",
        )


def _reopen(table: str, found: Record, by: str) -> None:
    """Put on record, once, that windows which the backfill alone had loaded count as uncovered."""
    events = ledger.read(table)
    run_id = f"{found.run_id}/undo"
    contract = load_contract(paths.contract_folder(table))
    loads = [event for event in events if event.event == "published" and _mine(event, found)]
    # What was loaded later found these rows there: without them it covers nothing.
    earlier = [event for event in events if not _mine(event, found) and loads and event.event_ts < loads[0].event_ts]
    windows = tuple(difference([window for load in loads for window in load.windows], covered(earlier)))
    if contract.source is None or not windows:
        return
    if not any(event.run_id == run_id for event in events):
        detail = json.dumps({"by": by, "reason": f"undo of backfill {found.backfill_id}"})
        ledger.append(Event("reopened", table, found.backfill_id, 0, "", run_id, "set", windows=windows, detail=detail))
    follow(contract)
