"""What a published table is: columns, rows, files. Reads the log only."""

from __future__ import annotations

from dataclasses import dataclass

from lakehouse.delta import schema, store
from lakehouse.delta.features import snapshot
from lakehouse.delta.log import latest_version
from lakehouse.delta.spec import ColumnSpec


@dataclass(frozen=True)
class TableStats:
    """Size of a table at its latest version; version -1 and zeros where there is none."""

    version: int
    rows: int
    files: int
    bytes: int


def table_stats(path: str) -> TableStats:
    """Rows (as the files' statistics say), files and bytes of the table at `path`."""
    version = latest_version(path)
    if version < 0:
        return TableStats(-1, 0, 0, 0)
    import pyarrow as pa

    files = pa.table(store.delta_table(path, version).get_add_actions(flatten=True))
    rows = sum(count or 0 for count in files["num_records"].to_pylist())
    return TableStats(version, rows, files.num_rows, sum(files["size_bytes"].to_pylist()))


def schema_columns(path: str) -> tuple[ColumnSpec, ...]:
    """The columns of the table at `path`, none where there is no table. Raises TypeUnknown or UnknownFeature."""
    version = latest_version(path)
    if version < 0:
        return ()
    return tuple(
        ColumnSpec(f["name"], schema.to_sql(f["type"]), f["nullable"], f["metadata"].get("comment", ""))
        for f in snapshot(path, version).fields
    )
