"""Events of the ledger: what they are, appending one, reading a table's.

ops.ledger, partitioned by table: event_ts TIMESTAMP, event, table, batch_id, load BIGINT, attempt, run_id, kind,
windows (JSON list of [low, high]), deliveries (JSON list: what a source handed over whole), consumed (JSON {table:
version}), version BIGINT, counts (JSON), contract, sql (fingerprints), trace_id, detail. All text unless said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from lakehouse import paths
from lakehouse.clock import now
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

#: Of loads: started, published, held by the gate, failed above the quarantine threshold. Of a table's windows, by a
#: person: skipped (they count as covered) and reopened (they count as uncovered).
Name = Literal["started", "published", "held", "failed", "skipped", "reopened"]


@dataclass(frozen=True)
class Event:
    """One thing that happened to one load of one table."""

    event: Name
    table: str
    batch_id: str
    #: 1 for the first load of this batch, 2 when its window is loaded again after it was published, ...
    load: int
    attempt: str
    run_id: str
    #: scheduled, manual, backfill, replay; set for what a person says of windows.
    kind: str
    windows: tuple[Window, ...] = ()
    deliveries: tuple[str, ...] = ()
    consumed: dict[str, int] = field(default_factory=dict)
    #: Version of the table after a publish; of an empty load, the version it left as it was.
    version: int = -1
    counts: dict[str, int] = field(default_factory=dict)
    contract: str = ""
    sql: str = ""
    trace_id: str = ""
    detail: str = ""
    event_ts: datetime = field(default_factory=now)


def _location() -> str:
    return paths.ops("ledger")


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = ["event", "table", "batch_id", "attempt", "run_id", "kind", "windows", "deliveries", "consumed", "counts"]
    text += ["contract", "sql", "trace_id", "detail"]
    fields = [pa.field("event_ts", pa.timestamp("us", tz="UTC"))]
    fields += [pa.field(name, pa.string()) for name in text]
    return pa.schema([*fields, pa.field("load", pa.int64()), pa.field("version", pa.int64())])


def append(*events: Event) -> None:
    """Write `events` in one commit. Safe from several processes at once."""
    import pyarrow as pa

    from lakehouse.delta import append_rows

    rows = [
        {
            **{name: getattr(e, name) for name in _schema().names},
            "windows": json.dumps([[w.low.isoformat(), w.high.isoformat()] for w in e.windows]),
            "deliveries": json.dumps(e.deliveries),
            "consumed": json.dumps(e.consumed, sort_keys=True),
            "counts": json.dumps(e.counts, sort_keys=True),
        }
        for e in events
    ]
    append_rows(_location(), pa.Table.from_pylist(rows, schema=_schema()), partition_by=("table",))


def read(table: str = "") -> list[Event]:
    """Events of `table` (or of all tables), oldest first; none where nothing has been loaded yet.

    A load is published once, so it is given once, see `once`.
    """
    from lakehouse.delta import read_rows

    rows = read_rows(_location(), {"table": table} if table else {})
    return once(sorted((_event(row) for row in rows), key=lambda e: e.event_ts))


def once(events: Iterable[Event]) -> list[Event]:
    """`events` with one `published` of each load, the earliest of the newest version.

    A publisher that slept between its commit and its event may have said again what another one had put on record for
    it; and of two runs that worked one load at once, one may have found nothing new and said so, the other committed.
    """
    told = list(events)
    chosen: dict[tuple[str, str, int], Event] = {}
    for event in told:
        if event.event == "published":
            key = (event.table, event.batch_id, event.load)
            if key not in chosen or event.version > chosen[key].version:
                chosen[key] = event
    return [e for e in told if e.event != "published" or e is chosen[e.table, e.batch_id, e.load]]


def _event(row: dict[str, Any]) -> Event:
    windows = tuple(
        Window(datetime.fromisoformat(low), datetime.fromisoformat(high)) for low, high in json.loads(row["windows"])
    )
    read = {name: json.loads(row[name]) for name in ("consumed", "counts")}
    return Event(**{**row, **read, "windows": windows, "deliveries": tuple(json.loads(row["deliveries"]))})
