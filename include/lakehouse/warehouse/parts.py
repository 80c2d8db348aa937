"""Rows on their way: Parquet files of a bounded size, one at a time on this machine's disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta.feed import CHANGE, VERSION
from lakehouse.warehouse.columns import Target, conveyed
from lakehouse.warehouse.statements import CHANGE_THERE, VERSION_THERE

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes after which a file is sent and the next one begun: what Snowflake loads best, before compression.
PART = 128 * 2**20


def send(
    batches: Iterable[pa.RecordBatch], columns: Sequence[Target], put: Callable[[Path], None], part: int = PART
) -> int:
    """Write `batches` into files of about `part` bytes, each handed to `put` and deleted; how many rows there were."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = number = 0
    with tempfile.TemporaryDirectory(prefix="lakehouse-warehouse-") as folder:
        writer, size, file = None, 0, Path()
        for batch in batches:
            if not batch.num_rows:
                continue
            made = _converted(batch, columns)
            if writer is None:
                file = Path(folder) / f"part_{number:05}.parquet"
                writer = pq.ParquetWriter(file, made.schema, compression="snappy")
                number += 1
            writer.write_table(pa.Table.from_batches([made]))
            rows, size = rows + made.num_rows, size + made.nbytes
            if size >= part:
                writer.close()
                put(file)
                file.unlink()
                writer, size = None, 0
        if writer is not None:
            writer.close()
            put(file)
    return rows


def _converted(batch: pa.RecordBatch, columns: Sequence[Target]) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [conveyed(batch[c.name], c) for c in columns]
    arrays += [batch[CHANGE].cast(pa.string()), batch[VERSION].cast(pa.int64())]
    return pa.RecordBatch.from_arrays(arrays, names=[*(c.there for c in columns), CHANGE_THERE, VERSION_THERE])
