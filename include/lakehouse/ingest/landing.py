"""Landing: one Parquet file per slice of a load, as the source gave it, protected, atomically in place.

An extract that broke off finds the finished slices and goes on after them (resumable first loads). One that was
whole and is run again, say after the source was mended, starts anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.protect import protect
from lakehouse.ingest.query import extract_query
from lakehouse.ingest.readers import READERS
from lakehouse.killpoints import reach
from lakehouse.ledger.windows import Window, chunks

if TYPE_CHECKING:
    import pyarrow as pa


#: Marks a landing folder whose extract came to its end. Spark skips names that start with an underscore.
WHOLE = "_WHOLE"


def land(
    contract: Contract,
    source: Source,
    windows: list[Window],
    folder: Path,
    connection: Any,
    pii_key: Callable[[], bytes],
    progress: Callable[[str], None],
) -> int:
    """Extract `windows`, each with the source's lookback below it, into `folder`; rows landed in this load.

    `progress` hears one line a slice. `pii_key` is asked only when a column needs it.
    """
    whole = folder / WHOLE
    if whole.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    query, total = extract_query(contract, source), 0
    key = pii_key() if any(column.protect for column in contract.columns) else b""
    for window in windows:
        for piece in chunks(Window(window.low - source.lookback, window.high), source.chunk):
            target = folder / f"{_stamp(piece.low)}-{_stamp(piece.high)}.parquet"
            if not target.exists() and not _nothing(target).exists():
                batches = READERS[source.kind](connection, query, piece.low, piece.high)
                _write((_protected(batch, contract, key) for batch in batches), target)
                reach("extract.slice")
            rows = _rows(target)
            total += rows
            progress(f"{contract.name}: {rows} rows in ({piece.low.isoformat()}, {piece.high.isoformat()}]")
    whole.touch()
    reach("extract.whole")
    return total


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S%f")


def _nothing(target: Path) -> Path:
    """Stands for a slice without rows. Spark skips its name, and could not read a Parquet file without columns."""
    return target.with_name(f"_{target.stem}.empty")


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return 0 if not path.exists() else int(pq.ParquetFile(path).metadata.num_rows)


def _protected(batch: pa.RecordBatch, contract: Contract, key: bytes) -> pa.RecordBatch:
    """The batch with contract names, PII replaced, and naive timestamps marked as the UTC they are."""
    import pyarrow as pa

    columns = []
    for column in contract.columns:
        values = batch.column(column.name)
        if pa.types.is_timestamp(values.type):
            values = values.cast(pa.timestamp("us", tz="UTC"))
        columns.append(protect(values, column, key) if column.protect else values)
    return pa.RecordBatch.from_arrays(columns, names=[column.name for column in contract.columns])


def _write(batches: Iterator[pa.RecordBatch], target: Path) -> None:
    """Stream `batches` to a draft, then rename: a slice is whole or absent.

    Batches of one query may differ in type where a column was all null; the first batch's types that are no null
    type decide. A slice without rows is only marked as done.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    draft = target.with_suffix(".draft")
    writer = None
    try:
        for batch in batches:
            if not batch.num_rows:
                continue
            if writer is None:
                fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in batch.schema]
                writer = pq.ParquetWriter(draft, pa.schema(fields), compression="zstd")
            writer.write_table(pa.Table.from_batches([batch]).cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        _nothing(target).touch()
    else:
        draft.rename(target)
