"""Landing: one Parquet file per slice of a load, as the source gave it, protected, atomically in place.

The plan of slices is kept beside them: an extract that broke off goes on after its finished slices (resumable first
loads). One that was whole and is run again, say after the source was mended, starts anew.

Columns of a landing file: the contract's, by its names, of the source's types; those it does not know, each as
`extra:<name>`; `_fault` and `_raw` where the feed could not read a row; `_kept` where rows come back from quarantine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Column, Contract
from lakehouse.ingest.feed import FAULT, RAW, Feed, Slice
from lakehouse.ingest.protect import protect
from lakehouse.killpoints import reach
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa


#: Marks a landing folder whose extract came to its end. Spark skips names that start with an underscore.
WHOLE = "_WHOLE"
#: The slices of the load, as JSON.
PLAN = "_PLAN"
#: Before the name of a column that the contract does not know.
EXTRA = "extra:"
#: Name of the column with a row's JSON as it landed first, of rows that quarantine kept (see `ingest.kept`).
KEPT = "_kept"


def land(
    contract: Contract,
    feed: Feed,
    windows: Sequence[Window],
    deliveries: Sequence[str],
    folder: Path,
    pii_key: Callable[[], bytes],
    progress: Callable[[str], None],
) -> int:
    """Extract `windows`, or `deliveries`, into `folder`; rows landed in this load.

    `progress` hears one line a slice. `pii_key` is asked only when a column needs it.
    """
    if (folder / WHOLE).exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key = pii_key() if any(column.protect for column in contract.columns) else b""
    slices, total = _planned(folder, lambda: feed.plan(windows, deliveries)), 0
    for number, piece in enumerate(slices, 1):
        target = folder / f"{piece.name}.parquet"
        if not target.exists() and not _nothing(target).exists():
            write_slice((_shaped(batch, contract, key) for batch in feed.read(piece)), target)
            reach("extract.slice")
        rows = _rows(target)
        total += rows
        progress(f"{contract.name}: {rows} rows in slice {number} of {len(slices)}, {piece.name}")
    (folder / WHOLE).touch()
    reach("extract.whole")
    return total


def _planned(folder: Path, plan: Callable[[], list[Slice]]) -> list[Slice]:
    """The plan in `folder`, made when there is none: then slices of one load do not overlap."""
    kept = folder / PLAN
    if not kept.exists():
        draft = kept.with_suffix(".draft")
        draft.write_text(json.dumps([asdict(piece) for piece in plan()]))
        draft.rename(kept)
    return slices_of(folder)


def _nothing(target: Path) -> Path:
    """Stands for a slice without rows. Spark skips its name, and could not read a Parquet file without columns."""
    return target.with_name(f"_{target.stem}.empty")


def slices_of(folder: Path) -> list[Slice]:
    """The slices of the load in `folder`, as they were planned."""
    return [Slice(**piece) for piece in json.loads((folder / PLAN).read_text())]


def landing_files(folder: Path) -> list[Path]:
    """The landing files in `folder`."""
    return sorted(folder.glob("*.parquet"))


def rows_in(folder: Path) -> int:
    """Rows of the landing files in `folder`."""
    return sum(_rows(file) for file in landing_files(folder))


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return 0 if not path.exists() else int(pq.ParquetFile(path).metadata.num_rows)


def _shaped(batch: pa.RecordBatch, contract: Contract, key: bytes) -> pa.RecordBatch:
    """The batch under contract names, PII replaced, and naive timestamps marked as the UTC they are."""
    import pyarrow as pa

    there = known_columns(batch.schema.names, contract)
    columns: list[pa.Array] = []
    names: list[str] = []
    for name, values in zip(batch.schema.names, batch.columns, strict=True):
        column = there.get(name)
        if pa.types.is_timestamp(values.type) and values.type.tz is None:
            values = values.cast(pa.timestamp("us", tz="UTC"))
        if column and column.protect:
            values = protect(values, column, key)
        columns.append(values)
        names.append(column.name if column else name if name in (FAULT, RAW) else _extra(name, names))
    return pa.RecordBatch.from_arrays(columns, names=names)


def known_columns(names: Sequence[str], contract: Contract) -> dict[str, Column]:
    """{name in the source: column}: by the very name, else by it in another case. No column twice."""
    exact = {column.source_name: column for column in contract.columns if column.source_name in names}
    folded = {c.source_name.lower(): c for c in contract.columns if c.source_name not in exact}
    return exact | {name: folded.pop(name.lower()) for name in names if name not in exact and name.lower() in folded}


def _extra(name: str, taken: Sequence[str]) -> str:
    """EXTRA + `name`; where that differs from an earlier one by case alone, which Spark cannot tell, also a number."""
    folded = [other.lower() for other in taken]
    found, number = EXTRA + name, 2
    while found.lower() in folded:
        found, number = f"{EXTRA}{name}~{number}", number + 1
    return found


def write_slice(batches: Iterator[pa.RecordBatch], target: Path) -> None:
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
