"""Rows in and out of the small `ops` tables, without a JVM: appended and read by delta-rs.

Not for lake tables: those change by branch and fast-forward only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.delta import store
from lakehouse.delta.log import Action, commit_file, encode, latest_version
from lakehouse.delta.schema import TypeUnknown
from lakehouse.delta.spec import metadata

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

#: Appends conflict only in the version number; with many writers one may lose many times in a row.
RETRIES = 100


def append_rows(
    path: str, rows: pa.Table, partition_by: Sequence[str] = (), properties: Mapping[str, str] | None = None
) -> int:
    """Append `rows` in one commit, making the table at its first use; the table's version afterwards, at least.

    Safe from several processes at once. Columns the table lacks are added to it (nullable); those that `rows` lacks
    are null. Raises TypeUnknown for a time without a time zone, which would raise the table's protocol.
    """
    import pyarrow as pa
    from deltalake import CommitProperties, write_deltalake

    for column in rows.schema:
        if pa.types.is_timestamp(column.type) and column.type.tz is None:
            raise TypeUnknown(f"{path}: column '{column.name}' is a time without a zone.", "Give it in UTC.")
    if latest_version(path) < 0:
        _create(path, rows.schema, partition_by, properties or {})
    table = store.delta_table(path)
    known = {f.name for f in table.schema().fields}
    write_deltalake(
        table,
        rows,
        mode="append",
        schema_mode=None if known == set(rows.column_names) else "merge",
        commit_properties=CommitProperties(max_commit_retries=RETRIES),
    )
    return latest_version(path)


def read_rows(path: str, equals: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The rows whose columns have these values, as dicts, in no order; none where there is no table."""
    if latest_version(path) < 0:
        return []
    with scan(path, equals or {}) as reader:
        found: list[dict[str, Any]] = reader.read_all().to_pylist()
    return found


def scan(path: str, equals: Mapping[str, str | int], columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
    """The rows whose columns have these values, streamed: all their columns, or those named.

    Raises DeltaError where there is no table.
    """
    import pyarrow.compute as pc

    condition = None
    for name, value in equals.items():
        test = pc.field(name) == value
        condition = test if condition is None else condition & test
    source = _files(path, equals)
    return source.scanner(filter=condition, columns=list(columns) if columns else None).to_reader()


def dataset(path: str, partition: Mapping[str, str] | None = None, version: int | None = None) -> ds.Dataset | None:
    """A version (default: the latest) as an Arrow dataset, for those who read some columns; None without a table.

    `partition` names values of partition columns: files of others are not even looked at.
    """
    return None if latest_version(path) < 0 else _files(path, partition or {}, version)


def _files(path: str, equals: Mapping[str, str | int], version: int | None = None) -> ds.Dataset:
    table = store.delta_table(path, version)
    known = [(name, "=", str(equals[name])) for name in table.metadata().partition_columns if name in equals]
    return table.to_pyarrow_dataset(partitions=known or None)


def _create(path: str, columns: pa.Schema, partition_by: Sequence[str], properties: Mapping[str, str]) -> None:
    """Make the empty table; nothing happens where another process was quicker."""
    from deltalake import Schema

    fields = json.loads(Schema.from_arrow(columns).to_json())["fields"]
    first: list[Action] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": metadata(fields, tuple(partition_by), properties)},
    ]
    store.put_if_absent(commit_file(path, 0), encode(first))
