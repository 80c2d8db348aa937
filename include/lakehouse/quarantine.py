"""What quarantine holds and how it stands: rows set aside, with the verdicts on them since. Reads only; no Spark.

A row is `replayed` when a published load let it pass, `discarded` when somebody gave it up (or the schema policy did,
in a published load), `open` otherwise. Its reasons are those of the last time it was judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse import ledger, paths

STATUSES = ("open", "replayed", "discarded")

_STANDING = """
WITH told AS (
  SELECT v.* FROM verdicts AS v
  LEFT JOIN published AS p ON p.batch_id = v.batch_id AND p.load = v.load AND p."table" = v."table"
  WHERE v.verdict = 'failed' OR v.load = 0 OR p.batch_id IS NOT NULL
), latest AS (
  SELECT
    quarantine_id,
    bool_or(verdict = 'passed') AS passed,
    bool_or(verdict = 'discarded') AS discarded,
    arg_max(reasons, verdict_ts) FILTER (WHERE verdict = 'failed') AS reasons
  FROM told GROUP BY quarantine_id
)
SELECT {columns},
  CASE WHEN l.passed THEN 'replayed' WHEN l.discarded THEN 'discarded' ELSE 'open' END AS status,
  coalesce(l.reasons, q.reasons) AS reasons
FROM quarantine AS q LEFT JOIN latest AS l USING (quarantine_id)
WHERE ($table = '' OR q."table" = $table) AND ($batch = '' OR starts_with(q.batch_id, $batch))
  AND ($id = '' OR starts_with(q.quarantine_id, $id))
  AND ($status = '' OR status = $status) AND ($rule = '' OR list_contains(coalesce(l.reasons, q.reasons), $rule))
ORDER BY q."table", q.quarantined_ts, q.quarantine_id
"""
#: Moments that Python has none of are told as none; the row has them as they landed.
_SHOWN = {
    "cursor": "IF(q.cursor BETWEEN TIMESTAMPTZ '0001-01-02' AND TIMESTAMPTZ '9999-12-30', q.cursor, NULL) AS cursor"
}
_COLUMNS = ("quarantine_id", "table", "batch_id", "load", "quarantined_ts", "key", "cursor")


@dataclass(frozen=True)
class Kept:
    """One row set aside. `row` is JSON as it landed (PII is a token there), "" unless it was asked for."""

    quarantine_id: str
    table: str
    batch_id: str
    load: int
    quarantined_ts: datetime
    #: JSON.
    key: str
    cursor: datetime | None
    status: str
    reasons: tuple[str, ...]
    row: str = ""


@dataclass(frozen=True)
class Choice:
    """Which rows: all conditions hold, "" is none. `batch` and `id` may be the beginnings of ids."""

    table: str = ""
    status: str = ""
    batch: str = ""
    rule: str = ""
    id: str = ""


def kept(choice: Choice, *, rows: bool = False) -> list[Kept]:
    """The rows that `choice` names, with their content if `rows`; none where nothing was ever set aside."""
    columns = [_SHOWN.get(name, f'q."{name}"') for name in (*_COLUMNS, *(("row",) if rows else ()))]
    values = {name: getattr(choice, name) for name in ("table", "status", "batch", "rule", "id")}
    found = _ask(_STANDING.format(columns=", ".join(columns)), values)
    return [Kept(**{**row, "reasons": tuple(row["reasons"])}) for row in found]


def verdicts(quarantine_id: str) -> list[dict[str, Any]]:
    """Everything that was said of one row since it was set aside, oldest first."""
    names = "verdict_ts, verdict, reasons, batch_id, load, contract, who, reason"
    return _ask(f"SELECT DISTINCT {names} FROM verdicts WHERE quarantine_id = $id ORDER BY 1", {"id": quarantine_id})


def failed_again(table: str) -> Counter[tuple[str, int]]:
    """{(batch, load): rows of quarantine that this replay judged bad again}."""
    sql = """SELECT batch_id, load, count(DISTINCT quarantine_id) AS n FROM verdicts
        WHERE "table" = $table AND verdict = 'failed' GROUP BY ALL"""
    return Counter({(row["batch_id"], row["load"]): row["n"] for row in _ask(sql, {"table": table})})


def _ask(sql: str, values: dict[str, str]) -> list[dict[str, Any]]:
    import duckdb
    import pyarrow as pa

    from lakehouse.delta import dataset

    quarantine, told = dataset(paths.ops("quarantine")), dataset(paths.ops("verdicts"))
    if quarantine is None:
        return []
    publishes = _standing(e for e in ledger.read(values.get("table", "")) if e.event == "published")
    published = {"table": [e.table for e in publishes], "batch_id": [e.batch_id for e in publishes]}
    text = {name: pa.array(column, pa.string()) for name, column in published.items()}
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("quarantine", quarantine)
        db.register("verdicts", told or _none())
        db.register("published", pa.table({**text, "load": pa.array([e.load for e in publishes], pa.int64())}))
        answer: list[dict[str, Any]] = db.sql(sql, params=values).to_arrow_table().to_pylist()
        return answer


def _standing(publishes: Iterable[ledger.Event]) -> list[ledger.Event]:
    """Those that were not taken back: what a reverted replay let pass is out of the table again."""
    from lakehouse.delta import reverted_versions

    told = list(publishes)
    gone = {table: reverted_versions(paths.table(table)) for table in {e.table for e in told if e.kind == "replay"}}
    return [e for e in told if e.version not in gone.get(e.table, ())]


def _none() -> Any:
    from lakehouse.bronze.verdicts import schema

    return schema().empty_table()


def grouped(found: Sequence[Kept]) -> list[dict[str, Any]]:
    """Rows by table, status and reasons: how many, since when, until when."""
    groups: dict[tuple[str, str, str], list[Kept]] = {}
    for row in found:
        groups.setdefault((row.table, row.status, ", ".join(row.reasons)), []).append(row)
    return [
        {
            "table": table,
            "status": status,
            "reasons": reasons,
            "rows": len(rows),
            "first": min(row.quarantined_ts for row in rows).isoformat(timespec="seconds"),
            "last": max(row.quarantined_ts for row in rows).isoformat(timespec="seconds"),
        }
        for (table, status, reasons), rows in sorted(groups.items())
    ]
