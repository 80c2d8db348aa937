"""Backfills on record: ops.backfills, append-only.

event_ts TIMESTAMP, event (begun, staged, published, undone), backfill_id, by, request (JSON: tables, start, end, from,
as_of, stage), tables (JSON list), batches (JSON list: of staged ones, what publishing needs). All text unless said.
"""

from __future__ import annotations

import getpass
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse import paths
from lakehouse.backfill.plan import Plan
from lakehouse.backfill.request import BackfillRefused
from lakehouse.clock import now
from lakehouse.pipeline.batch import NAMESPACE, Batch

#: After these the same request is another backfill.
ENDS = ("published", "undone")


@dataclass(frozen=True)
class Record:
    """How one backfill stands."""

    backfill_id: str
    #: begun, staged, published, undone.
    state: str
    by: str
    request: dict[str, Any]
    tables: tuple[str, ...]
    #: Of a staged one.
    batches: tuple[Batch, ...]
    begun: datetime

    @property
    def run_id(self) -> str:
        """The run in the ledger; runs of single chunks begin with it and a slash."""
        return run_id(self.backfill_id)


def run_id(backfill_id: str) -> str:
    """The run that a backfill is in the ledger."""
    return f"backfill/{backfill_id}"


def begin(plan: Plan) -> Record:
    """The record of the backfill that `plan` is. One that was begun and not ended is gone on with."""
    asked = plan.request
    request = {
        "tables": sorted(asked.tables),
        "start": asked.window.low.isoformat(),
        "end": asked.window.high.isoformat(),
        "from": asked.origin,
        "as_of": asked.as_of.isoformat() if asked.as_of else "",
        "stage": asked.stage,
    }
    what = json.dumps([request, plan.fingerprints], sort_keys=True)
    known = {record.backfill_id: record for record in records()}
    number = 1
    while True:
        found = str(uuid.uuid5(NAMESPACE, f"backfill|{what}|{number}"))
        if found not in known:
            append("begun", found, request, [step.table for step in plan.steps])
            return one(found)
        if known[found].state not in ENDS:
            return known[found]
        number += 1


def append(
    event: str, backfill_id: str, request: dict[str, Any], tables: Sequence[str], batches: Sequence[Batch] = ()
) -> None:
    """Put one event on record."""
    import pyarrow as pa

    from lakehouse.delta import append_rows

    row = {
        "event_ts": now(),
        "event": event,
        "backfill_id": backfill_id,
        "by": getpass.getuser(),
        "request": json.dumps(request),
        "tables": json.dumps(list(tables)),
        "batches": json.dumps([batch.to_dict() for batch in batches]),
    }
    text = [pa.field(name, pa.string()) for name in row if name != "event_ts"]
    schema = pa.schema([pa.field("event_ts", pa.timestamp("us", tz="UTC")), *text])
    append_rows(paths.ops("backfills"), pa.Table.from_pylist([row], schema=schema))


def records() -> list[Record]:
    """Every backfill, the newest first."""
    from lakehouse.delta import read_rows

    found: dict[str, Record] = {}
    for row in sorted(read_rows(paths.ops("backfills")), key=lambda row: row["event_ts"]):
        before = found.get(row["backfill_id"])
        found[row["backfill_id"]] = Record(
            row["backfill_id"],
            row["event"],
            before.by if before else row["by"],
            json.loads(row["request"]),
            tuple(json.loads(row["tables"])),
            tuple(Batch.from_dict(batch) for batch in json.loads(row["batches"])),
            before.begun if before else row["event_ts"],
        )
    return sorted(found.values(), key=lambda record: record.begun, reverse=True)


def one(beginning: str) -> Record:
    """The backfill whose id begins so. Raises BackfillRefused for none, or several."""
    found = [record for record in records() if beginning and record.backfill_id.startswith(beginning)]
    if len(found) != 1:
        what = "Several backfills begin" if found else "No backfill begins"
        raise BackfillRefused(f"{what} with '{beginning}'.", "See `lakehouse backfill list`.")
    return found[0]
