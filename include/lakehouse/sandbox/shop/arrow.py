"""The shop's tables as Arrow: the types a column kind has, and columns turned into a table. No reading or writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.sandbox.shop.model import Change, SourceTable

if TYPE_CHECKING:
    import pyarrow as pa


def schema(table: SourceTable) -> pa.Schema:
    """Arrow schema of a source table; times are microseconds without zone, money decimal(18,2), rates decimal(18,6)."""
    import pyarrow as pa

    kinds = {
        "id": pa.int64(),
        "count": pa.int32(),
        "money": pa.decimal128(18, 2),
        "rate": pa.decimal128(18, 6),
        "text": pa.string(),
        "code": pa.string(),
        "flag": pa.bool_(),
        "time": pa.timestamp("us"),
    }
    return pa.schema([(column.name, kinds[column.kind]) for column in table.columns])


def table_of(change: Change) -> pa.Table:
    """A day's rows of one table."""
    import pyarrow as pa

    return pa.table({name: list(change.data[name]) for name in change.table.names}, schema=schema(change.table))
