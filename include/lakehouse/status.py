"""How every table stands: from the Delta logs, the ledger and the gates' records. No Spark, no Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse import ledger, paths
from lakehouse.clock import now
from lakehouse.contracts import load_contract
from lakehouse.freshness import freshness
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import watermark
from lakehouse.manifest import Manifest


@dataclass(frozen=True)
class TableStatus:
    """One table. `version` is -1 and `rows` 0 before the first publish."""

    table: str
    version: int
    rows: int
    files: int
    #: Totals over all loads on record.
    new: int
    changed: int
    removed: int
    duplicates: int
    quarantined: int
    watermark: datetime | None
    #: passed, held (the latest batch did not get through), never.
    gate: str
    published: datetime | None
    #: fresh, stale, recovered or unknown, against the contract's SLA (see `lakehouse.freshness`).
    freshness: str
    #: Time of the newest row that freshness goes by.
    newest: datetime | None


def table_status(manifest: Manifest) -> list[TableStatus]:
    """Status of every table, in the order data flows."""
    from lakehouse.delta import table_stats

    at = now()
    by_table: dict[str, list[Event]] = {}
    for event in ledger.read():
        by_table.setdefault(event.table, []).append(event)
    found = []
    for entry in manifest.entries:
        events = by_table.get(entry.name, [])
        stats = table_stats(paths.table(entry.name))
        published = [e for e in events if e.event == "published"]
        contract = load_contract(paths.contract_folder(entry.name))
        mark = watermark(events, contract.source.initial_value) if contract.source and published else None
        age = freshness(contract, at)
        found.append(
            TableStatus(
                table=entry.name,
                version=stats.version,
                rows=stats.rows,
                files=stats.files,
                **{name: _total(published, counts) for name, counts in _TOTALS.items()},
                watermark=mark,
                gate=_gate(events),
                published=published[-1].event_ts if published else None,
                freshness=age.state,
                newest=age.newest,
            )
        )
    return found


_TOTALS = {
    "new": ("inserted", "superseded"),
    "changed": ("updated",),
    "removed": ("deleted",),
    "duplicates": ("duplicates",),
    "quarantined": ("quarantined",),
}


def _total(events: Sequence[Event], counts: Sequence[str]) -> int:
    return sum(event.counts.get(count, 0) for event in events for count in counts)


def _gate(events: Sequence[Event]) -> str:
    ends = [e for e in events if e.event in ("published", "held")]
    if not ends:
        return "never"
    return "held" if ends[-1].event == "held" else "passed"


def as_row(status: TableStatus) -> dict[str, Any]:
    """The status as a flat, JSON-ready row."""
    row: dict[str, Any] = {name: getattr(status, name) for name in TableStatus.__dataclass_fields__}
    for name in ("watermark", "published", "newest"):
        row[name] = row[name].isoformat(timespec="seconds") if row[name] else None
    return row
