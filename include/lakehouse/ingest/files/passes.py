"""Reading an object to its end before any row of it is handed out: it is taken whole or set aside whole.

A small object is kept in memory meanwhile. A large one is read a second time: not to disk, where what is to be
protected must not lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Protocol

from lakehouse.ingest.feed import FAULT, RAW

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes of Arrow that are kept of an object while it is read the first time.
KEEP = 32 * 2**20


class Reader(Protocol):
    """Reads one object of one format."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the object, known after it was read once."""

    def batches(self, content: BinaryIO) -> Iterator[pa.RecordBatch]:
        """Rows of `content`, UTF-8, FAULT and RAW behind the columns. Raises ObjectFault."""


def whole(reader: Reader, opened: Callable[[], BinaryIO]) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Read the object once, and return how to get its rows, in batches of equal columns, as often as wanted.

    `opened` opens its text. Raises ObjectFault.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        with opened() as content:
            yield from reader.batches(content)

    once_more = read_through(batches)
    return lambda: (conformed(batch, reader.names) for batch in once_more())


def read_through(batches: Callable[[], Iterator[pa.RecordBatch]]) -> Callable[[], Iterator[pa.RecordBatch]]:
    """Read `batches` to their end, and return how to get them as often as wanted: kept, or where they are too large
    for that, read again."""
    kept: list[pa.RecordBatch] | None = []
    size = 0
    for batch in batches():
        size += batch.nbytes
        if kept is None or size > KEEP:
            kept = None
        else:
            kept.append(batch)
    found = kept
    return batches if found is None else lambda: iter(found)


def conformed(batch: pa.RecordBatch, names: tuple[str, ...]) -> pa.RecordBatch:
    """`batch` with the columns `names`, FAULT and RAW; those it lacks are null."""
    import pyarrow as pa

    wanted, there = [*names, FAULT, RAW], batch.schema.names
    if there == wanted:
        return batch
    empty = pa.nulls(batch.num_rows, pa.string())
    at = {name: batch.column(number) for number, name in enumerate(there)}
    return pa.RecordBatch.from_arrays([at.get(name, empty) for name in wanted], names=wanted)
