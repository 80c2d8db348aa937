"""Whether a load may have a row twice: asked of its narrow key before its rows are looked for one by one.

It is seldom so, and to look for repeated rows is to sort the whole load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse.bronze.judge import cast
from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.landing import opened
from lakehouse.repeats import APART, SPAN, WHOLE, each_once

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from lakehouse.bronze.landed import Landed


def may_repeat(contract: Contract, source: Source, there: Landed) -> bool:
    """Whether two landed rows have one key and cursor; if not, no row is there twice."""
    columns = [contract.column(name) for name in dict.fromkeys([*contract.primary_key, source.cursor])]
    if any(column.name not in frame.columns for column in columns for frame in there.frames):
        return True
    # A load has most keys once; where they are whole numbers that lie close together, that is told without Spark.
    key = columns[0].name
    whole = len(contract.primary_key) == 1 and all(dict(f.dtypes)[key].upper() in WHOLE for f in there.frames)
    if whole and distinct(there.files, key):
        return False
    hashes = []
    for frame in there.frames:
        is_of = dict(frame.dtypes)
        made = [cast(column.name, is_of[column.name], column.type) for column in columns]
        hashes.append(frame.selectExpr(f"xxhash64({', '.join(made)}) AS one"))
    rows = reduce(lambda one, other: one.union(other), hashes)
    query = "SELECT count(*) > count(DISTINCT one) FROM {rows}"
    (answer,) = rows.sparkSession.sql(query, rows=rows).collect()
    return bool(answer[0])


def distinct(files: Sequence[str], column: str) -> bool:
    """Whether every row of these Parquet files has a value in `column`, whole numbers, and none is there twice.

    False, too, where the numbers lie too far apart to tell: see APART and SPAN.
    """
    ends, rows = [], 0
    for path in files:
        with opened(path) as file:
            found = _ends(file, column)
            rows += file.metadata.num_rows
        if found is None:
            return False
        ends.append(found)
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if high - low >= min(APART * rows, SPAN):
        return False
    return each_once(_values(files, column), low, high) == rows


def _values(files: Sequence[str], column: str) -> Iterator[pa.Array]:
    for path in files:
        with opened(path) as file:
            for batch in file.iter_batches(1 << 20, columns=[column]):
                yield batch.column(0)


def _ends(file: pq.ParquetFile, column: str) -> tuple[int, int] | None:
    """Smallest and largest number of a file; None where a row has none, or the footer does not tell."""
    told = file.metadata
    place = next(n for n in range(told.num_columns) if told.schema.column(n).path == column)
    kept = [told.row_group(n).column(place).statistics for n in range(told.num_row_groups)]
    if not kept or any(one is None or not one.has_min_max or one.null_count is None or one.null_count for one in kept):
        return None
    return int(min(one.min for one in kept)), int(max(one.max for one in kept))
