"""Landing: one Parquet file per slice of a load, as the source gave it, protected, atomically in place, on any store.

The plan of slices is kept beside them: an extract that broke off goes on after its finished slices (resumable first
loads). One that was whole and is run again, say after the source was mended, starts anew.

Columns of a landing file: the contract's, by its names, of the source's types; those it does not know, each as
`extra:<name>`; `_fault` and `_raw` where the feed could not read a row; `_kept` where rows come back from quarantine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Column, Contract
from lakehouse.delta import store
from lakehouse.ingest.feed import FAULT, RAW, Feed, Slice
from lakehouse.ingest.protect import protect
from lakehouse.killpoints import reach
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


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
    folder: str,
    pii_key: Callable[[], bytes],
    progress: Callable[[str], None],
) -> int:
    """Extract `windows`, or `deliveries`, into `folder`; rows landed in this load.

    `progress` hears one line a slice. `pii_key` is asked only when a column needs it.
    """
    # Names with a dot are drafts, of who died or of who is at it too.
    there = {name for name in store.names(folder) if not name.startswith(".")}
    if there and (WHOLE in there or PLAN not in there):
        forget(folder)
        there.clear()
    key = pii_key() if any(column.protect for column in contract.columns) else b""
    slices, total = _planned(folder, lambda: feed.plan(windows, deliveries)), 0
    for number, piece in enumerate(slices, 1):
        file, nothing = f"{piece.name}.parquet", f"_{piece.name}.empty"
        if there.isdisjoint((file, nothing)):
            batches = (_shaped(batch, contract, key) for batch in feed.read(piece))
            rows = write_slice(batches, f"{folder}/{file}")
            if not rows:
                # Spark skips its name, and could not read a Parquet file without columns.
                store.replace(f"{folder}/{nothing}", b"")
            reach("extract.slice")
        else:
            rows = _rows(f"{folder}/{file}") if file in there else 0
        total += rows
        progress(f"{contract.name}: {rows} rows in slice {number} of {len(slices)}, {piece.name}")
    finish(folder)
    reach("extract.whole")
    return total


def finish(folder: str) -> None:
    """Say that all of a load is in `folder`."""
    store.replace(f"{folder}/{WHOLE}", b"")


def is_whole(folder: str) -> bool:
    """Whether all of a load is in `folder`."""
    return store.exists(f"{folder}/{WHOLE}")


def forget(folder: str) -> None:
    """Delete `folder` and all in it. Broken off halfway, what is left is neither whole nor gone on with."""
    # In this order: a load without its plan begins anew, whole or not.
    store.delete(f"{folder}/{PLAN}")
    store.delete(f"{folder}/{WHOLE}")
    store.remove_tree(folder)


def _planned(folder: str, plan: Callable[[], list[Slice]]) -> list[Slice]:
    """The plan in `folder`, made when there is none: then slices of one load do not overlap."""
    if not store.exists(f"{folder}/{PLAN}"):
        store.put_if_absent(f"{folder}/{PLAN}", json.dumps([asdict(piece) for piece in plan()]).encode())
    return slices_of(folder)


def slices_of(folder: str) -> list[Slice]:
    """The slices of the load in `folder`, as they were planned."""
    return [Slice(**piece) for piece in json.loads(store.read(f"{folder}/{PLAN}"))]


def landing_files(folder: str) -> list[str]:
    """The landing files in `folder`, as paths, in the order of their slices."""
    return sorted(f"{folder}/{name}" for name in store.names(folder) if name.endswith(".parquet"))


def rows_in(folder: str) -> int:
    """Rows of the landing files in `folder`."""
    return sum(_rows(file) for file in landing_files(folder))


def opened(path: str) -> pq.ParquetFile:
    """A landing file, to be closed by whoever asked."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(store.opened(path))


def _rows(path: str) -> int:
    with opened(path) as file:
        return int(file.metadata.num_rows)


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


def write_slice(batches: Iterator[pa.RecordBatch], target: str) -> int:
    """Stream `batches` to a draft of the file `target`, which is then there whole; rows, without any no file.

    Batches of one query may differ in type where a column was all null; the first batch's types that are no null
    type decide.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return 0
    schema = pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in first.schema])
    rows = 0
    with store.draft(target) as draft, pq.ParquetWriter(draft, schema, compression="zstd") as writer:
        for batch in chain((first,), filled):
            writer.write_table(pa.Table.from_batches([batch]).cast(schema))
            rows += batch.num_rows
    return rows
