"""How every table stands: from the Delta logs, the ledger and the gates' records. No Spark, no Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from lakehouse import ledger, paths
from lakehouse.clock import now
from lakehouse.contracts import Contract, load_contract
from lakehouse.freshness import freshness
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import watermark
from lakehouse.manifest import Manifest

if TYPE_CHECKING:
    from lakehouse.delta import TableStats

#: none: no files; well; one would do: all data fits into one; small, large: at least half of the files are below half
#: of the target, or above its double.
FileSizes = Literal["none", "well", "one would do", "small", "large"]


@dataclass(frozen=True)
class TableStatus:
    """One table. `version` is -1 and `rows` 0 before the first publish."""

    table: str
    version: int
    rows: int
    files: int
    bytes: int
    #: Of the contract: partition columns, then those that rows are ordered by.
    layout: str
    #: Bytes: of the file in the middle, by size; that OPTIMIZE fills files up to; and how the first stands to it.
    median_file: int
    target_file: int
    file_sizes: FileSizes
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
                bytes=stats.bytes,
                layout=_layout(contract),
                median_file=stats.median,
                target_file=contract.layout.target,
                file_sizes=file_sizes(stats, contract.layout.target),
                **{name: _total(published, counts) for name, counts in _TOTALS.items()},
                watermark=mark,
                gate=_gate(events),
                published=published[-1].event_ts if published else None,
                freshness=age.state,
                newest=age.newest,
            )
        )
    return found


def file_sizes(stats: TableStats, target: int) -> FileSizes:
    """How a table's files stand to the size, in bytes, that OPTIMIZE makes them: half to double of it is well."""
    if stats.files <= 1:
        return "well" if stats.files else "none"
    if stats.bytes <= target:
        return "one would do"
    return "small" if stats.median < target // 2 else "large" if stats.median > target * 2 else "well"


def _layout(contract: Contract) -> str:
    parts = {"partitions": contract.partition_by, "zorder": contract.layout.zorder_by}
    return "; ".join(f"{name} {', '.join(columns)}" for name, columns in parts.items() if columns)


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


def as_layout(status: TableStatus) -> dict[str, Any]:
    """How the table lies in files, as a row for people."""
    return {
        "table": status.table,
        "layout": status.layout,
        "rows": status.rows,
        "files": status.files,
        "size": _size(status.bytes),
        "median file": _size(status.median_file),
        "target": _size(status.target_file),
        "file sizes": status.file_sizes,
    }


def _size(count: int) -> str:
    """1536 -> 1.5 KiB."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:,.0f} {units[0]}" if units[0] == "B" or value >= 100 else f"{value:,.1f} {units[0]}"
