"""Overrides: somebody lets one failed candidate through, by its fingerprint, with name and reason, on record (DQ-5).

ops.overrides, append-only: ts TIMESTAMP, event (granted, used), override_id, table, candidate, by, reason, failed
(JSON list: the critical rules it lets pass), batch_id, run_id. A grant is used by one run: a retry of that run may use
it again, another run may not. A candidate that is worked out again has another fingerprint.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse import paths
from lakehouse.clock import now
from lakehouse.errors import LakehouseError


class OverrideRefused(LakehouseError):
    """An override that cannot be given."""


@dataclass(frozen=True)
class Override:
    """A grant: `failed` are the critical rules whose failure was known when it was given."""

    override_id: str
    table: str
    candidate: str
    by: str
    reason: str
    failed: tuple[str, ...]


def grant(table: str, candidate: str, by: str, reason: str) -> Override:
    """Let `candidate` (a fingerprint or its beginning) of `table` through its gate once; on record at once.

    Raises OverrideRefused without a reason or a name, for a candidate that no gate of the table holds, and where it
    was granted before.
    """
    if not reason.strip() or not by.strip():
        raise OverrideRefused(
            f"{table}: a gate is not overridden without a name and a reason.", "Say who you are and why: --reason."
        )
    whole, failed = _held(table, candidate)
    if any(row["candidate"] == whole for row in _rows(table)):
        raise OverrideRefused(
            f"{table}: candidate {whole[:12]} was overridden before.",
            "An override is for one run. Run the table again, and look at the candidate that comes.",
        )
    found = Override(str(uuid.uuid4()), table, whole, by.strip(), reason.strip(), failed)
    _append("granted", found)
    return found


def use(table: str, candidate: str, failed: Sequence[str], batch_id: str, run_id: str) -> Override | None:
    """The override that lets `candidate` through, put on record as used by this run; None where there is none.

    Rules that fail now and were not known to fail when it was given are not let through.
    """
    rows = [row for row in _rows(table) if row["candidate"] == candidate]
    granted = next((row for row in rows if row["event"] == "granted"), None)
    used = [row for row in rows if row["event"] == "used"]
    if granted is None or any(row["run_id"] != run_id for row in used):
        return None
    known = json.loads(granted["failed"])
    if set(failed) - set(known):
        return None
    given = {name: granted[name] for name in ("override_id", "table", "candidate", "by", "reason")}
    found = Override(**given, failed=tuple(known))
    if not used:
        _append("used", found, batch_id, run_id)
    return found


def _held(table: str, candidate: str) -> tuple[str, tuple[str, ...]]:
    """The whole fingerprint that begins so, and the critical rules that failed for it."""
    from lakehouse.delta import read_rows

    failed: dict[str, set[str]] = {}
    for row in read_rows(paths.ops("quality"), {"table": table}):
        if candidate and (row.get("candidate") or "").startswith(candidate):
            rules = failed.setdefault(row["candidate"], set())
            if not row["success"] and row["severity"] == "critical":
                rules.add(row["rule"])
    held = {name: tuple(sorted(rules)) for name, rules in failed.items() if rules}
    if len(held) != 1:
        what = "Several candidates begin" if held else "No candidate that failed its gate begins"
        raise OverrideRefused(
            f"{table}: {what.lower()} with '{candidate}'.", f"See `lakehouse gate show {table}` for its fingerprint."
        )
    return next(iter(held.items()))


def _rows(table: str) -> list[dict[str, Any]]:
    from lakehouse.delta import read_rows

    return sorted(read_rows(paths.ops("overrides"), {"table": table}), key=lambda row: row["ts"])


def _append(event: str, override: Override, batch_id: str = "", run_id: str = "") -> None:
    import pyarrow as pa

    from lakehouse.delta import append_rows

    row = {
        "ts": now(),
        "event": event,
        "override_id": override.override_id,
        "table": override.table,
        "candidate": override.candidate,
        "by": override.by,
        "reason": override.reason,
        "failed": json.dumps(override.failed),
        "batch_id": batch_id,
        "run_id": run_id,
    }
    schema = pa.schema(
        [pa.field("ts", pa.timestamp("us", tz="UTC")), *(pa.field(name, pa.string()) for name in row if name != "ts")]
    )
    append_rows(paths.ops("overrides"), pa.Table.from_pylist([row], schema=schema))
