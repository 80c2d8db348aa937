"""What publishing a branch would change, in rows: by primary key, streamed from the files that differ.

Files that both sides share are never read, except for the sums before. Not for deciding: gates do that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.delta.branch import base_snapshot
from lakehouse.delta.diff import diff
from lakehouse.delta.features import snapshot
from lakehouse.delta.files import dataset_of
from lakehouse.delta.log import latest_version
from lakehouse.delta.record import Branch
from lakehouse.delta.replay import active_files

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_NUMBERS = ("byte", "short", "integer", "long", "float", "double")


@dataclass(frozen=True)
class Comparison:
    """Rows and sums of a branch against the version it started from. Operational columns (`_...`) do not count."""

    added: int
    removed: int
    #: Rows of the same key with another value; 0 where there is no key.
    changed: int
    #: Column -> (sum before, sum after), of numbers that are no part of the key.
    sums: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    #: Columns that publishing adds.
    columns: tuple[str, ...] = ()


def compare(branch: Branch, key: tuple[str, ...]) -> Comparison:
    """Compare by `key`, which is unique on each side; without one every row of a removed and an added file counts."""
    import duckdb

    base = base_snapshot(branch)
    change = diff(branch)
    fields = snapshot(branch.path, latest_version(branch.path)).fields
    old_names = {f["name"] for f in base.fields} if base else set()
    before = _dataset(branch, fields, (a["remove"] for a in change.actions if "remove" in a))
    after = _dataset(branch, fields, (a["add"] for a in change.actions if "add" in a))
    whole = _dataset(branch, fields, active_files(branch.table_path, base.version) if base else ())
    values = [f["name"] for f in fields if f["name"] not in key and not f["name"].startswith("_")]
    measures = [
        f["name"] for f in fields if f["name"] in values and _number(f["type"]) and f["name"][-3:] not in ("_id", "key")
    ]
    with duckdb.connect() as db:
        for name, rows in (("before", before), ("after", after), ("whole", whole)):
            db.register(name, rows)
        added, removed, changed = _counts(db, key, values, branch.mode)
        sums = {}
        for name in measures:
            column = _quoted(name)
            total, out, back = (
                db.execute(f"SELECT coalesce(sum({column}), 0) FROM {side}").fetchone()[0]
                for side in ("whole", "before", "after")
            )
            sums[name] = (total, total - out + back)
    return Comparison(added, removed, changed, sums, tuple(f["name"] for f in fields if f["name"] not in old_names))


def _counts(db: Any, key: tuple[str, ...], values: list[str], mode: str) -> tuple[int, int, int]:
    if not key or mode == "append":
        new, old = (int(db.execute(f"SELECT count(*) FROM {side}").fetchone()[0]) for side in ("after", "before"))
        return new, old, 0
    same = " AND ".join(f"b.{_quoted(k)} = a.{_quoted(k)}" for k in key)
    differ = " OR ".join(f"b.{_quoted(v)} IS DISTINCT FROM a.{_quoted(v)}" for v in values) or "false"
    row = db.execute(
        f"SELECT count(*) FILTER (b.here IS NULL), count(*) FILTER (a.here IS NULL), "
        f"count(*) FILTER (b.here AND a.here AND ({differ})) "
        f"FROM (SELECT *, true AS here FROM before) b FULL JOIN (SELECT *, true AS here FROM after) a ON {same}"
    ).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def _dataset(branch: Branch, fields: list[dict[str, Any]], files: Iterable[dict[str, Any]]) -> ds.Dataset:
    """Files of the table by their place in it, with partition values as columns."""
    import pyarrow as pa
    from deltalake import Schema

    schema = pa.schema(Schema.from_json(json.dumps({"type": "struct", "fields": fields})).to_arrow())
    return dataset_of(branch.table_path, schema, files)


def _number(kind: Any) -> bool:
    return isinstance(kind, str) and (kind in _NUMBERS or kind.startswith("decimal"))


def _quoted(name: str) -> str:
    from sqlglot import exp

    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")
