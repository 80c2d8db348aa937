"""Source values as Arrow columns of the type that was settled beforehand, batch by batch the same.

A value that is none of its column's type (an infinite timestamp, a number that is NaN, a year beyond the calendar)
becomes null and its row says so: FAULT `<column>_type`, RAW the values in question as JSON. No row is lost for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lakehouse.ingest.feed import FAULT, RAW
from lakehouse.ingest.sql.engine import SourceColumn

if TYPE_CHECKING:
    import pyarrow as pa


def conform(arrays: Sequence[pa.Array], columns: Sequence[SourceColumn], names: Mapping[str, str]) -> pa.RecordBatch:
    """A batch of `columns`. FAULT and RAW are there where a column is parsed, null in rows without fault.

    `names` are those that faults are told under. A parsed column that has none stays text.
    """
    import pyarrow as pa

    made, wrong = [], {}
    parsed = [c for c in columns if c.parsed and c.name in names]
    for values, column in zip(arrays, columns, strict=True):
        if column not in parsed:
            made.append(_cast(values, pa.string() if column.parsed else column.type))
            continue
        typed, bad = _parse(values, column.type)
        made.append(typed)
        if bad:
            wrong[column.name] = {row: values[row].as_py() for row in bad}
    heads = [column.name for column in columns]
    if parsed:
        made += _faults(len(made[0]), wrong, names)
        heads += [FAULT, RAW]
    return pa.RecordBatch.from_arrays(made, names=heads)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if values.type == kind:
        return values
    if pa.types.is_nested(values.type):
        texts = [None if value is None else json.dumps(value, default=str) for value in values.to_pylist()]
        return pa.array(texts, pa.string())
    return values.cast(kind)


def _parse(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """Text as values of `kind`, null where it is none, and the rows where that is so."""
    import pyarrow as pa

    try:
        return values.cast(kind), []
    except pa.ArrowInvalid:
        bad = list(_unreadable(values, kind, 0))
    at = set(bad)
    kept = pa.array([row not in at for row in range(len(values))])
    return pa.compute.if_else(kept, values, pa.scalar(None, values.type)).cast(kind), bad


def _unreadable(values: pa.Array, kind: pa.DataType, start: int) -> Iterator[int]:
    """Rows that do not cast: by halves, as they are few."""
    import pyarrow as pa

    try:
        values.cast(kind)
    except pa.ArrowInvalid:
        if len(values) == 1:
            yield start
            return
        half = len(values) // 2
        yield from _unreadable(values[:half], kind, start)
        yield from _unreadable(values[half:], kind, start + half)


def _faults(rows: int, wrong: Mapping[str, Mapping[int, str]], names: Mapping[str, str]) -> list[pa.Array]:
    import pyarrow as pa

    if not wrong:
        return [pa.nulls(rows, pa.string())] * 2
    reasons: list[str | None] = [None] * rows
    raws: list[str | None] = [None] * rows
    for row in {row for rows_of in wrong.values() for row in rows_of}:
        texts = {names[name]: values[row] for name, values in wrong.items() if row in values}
        reasons[row] = f"{next(iter(texts))}_type"
        raws[row] = json.dumps(texts)
    return [pa.array(reasons, pa.string()), pa.array(raws, pa.string())]
