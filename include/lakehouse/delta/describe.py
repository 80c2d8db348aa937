"""What a published table is: columns, rows, files. Reads the log only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.delta import schema, store
from lakehouse.delta.features import snapshot
from lakehouse.delta.log import commit_info, kind_of, latest_version, read_commit
from lakehouse.delta.spec import ColumnSpec


@dataclass(frozen=True)
class TableStats:
    """Size of a table at its latest version; version -1 and zeros where there is none."""

    version: int
    rows: int
    files: int
    bytes: int
    #: Bytes of the file in the middle, by size.
    median: int = 0


def table_stats(path: str) -> TableStats:
    """Rows (as the files' statistics say), files and bytes of the table at `path`."""
    version = latest_version(path)
    if version < 0:
        return TableStats(-1, 0, 0, 0)
    import pyarrow as pa

    files = pa.table(store.delta_table(path, version).get_add_actions(flatten=True))
    rows = sum(count or 0 for count in files["num_records"].to_pylist())
    sizes = sorted(files["size_bytes"].to_pylist())
    return TableStats(version, rows, files.num_rows, sum(sizes), sizes[len(sizes) // 2] if sizes else 0)


def schema_columns(path: str) -> tuple[ColumnSpec, ...]:
    """The columns of the table at `path`, none where there is no table. Raises TypeUnknown or UnknownFeature."""
    version = latest_version(path)
    if version < 0:
        return ()
    return tuple(
        ColumnSpec(f["name"], schema.to_sql(f["type"]), f["nullable"], f["metadata"].get("comment", ""))
        for f in snapshot(path, version).fields
    )


def table_id(path: str, version: int) -> str:
    """What tells the table from another one at the same place, made anew. Raises UnknownFeature."""
    return str(snapshot(path, version).id)


@dataclass(frozen=True)
class Newest:
    """The largest `value` of a column, None where nothing tells; the data is that of `version`, committed then."""

    value: Any
    version: int
    committed: datetime


def newest(path: str, column: str, version: int) -> Newest | None:
    """The largest value of `column` at `version`, as the files' statistics say (times to the millisecond).

    None where the log no longer goes back to data.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found = data_version(path, version)
    if found is None:
        return None
    version = found
    files = pa.table(store.delta_table(path, version).get_add_actions(flatten=True))
    name = next((n for n in (f"max.{column}", f"partition.{column}") if n in files.column_names), None)
    value = pc.max(files[name]).as_py() if name and files.num_rows else None
    at = datetime.fromtimestamp(commit_info(path, version).get("timestamp", 0) / 1000, tz=UTC)
    return Newest(value, version, at)


def data_version(path: str, version: int) -> int | None:
    """The version whose rows `version` has: versions that only move rows (OPTIMIZE) are passed over. None where the
    log no longer goes back to it."""
    try:
        while version >= 0 and not _changes_data(path, version):
            version -= 1
    except FileNotFoundError:
        return None
    return version if version >= 0 else None


def _changes_data(path: str, version: int) -> bool:
    actions = (action for action in read_commit(path, version))
    return any(a[kind].get("dataChange") for a in actions if (kind := kind_of(a)) in ("add", "remove"))
