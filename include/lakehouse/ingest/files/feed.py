"""The feed of files: what is delivered, and the rows of one delivery.

A delivery is a key with its ETag: an object sent again under its key is another one, the same content is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.feed import Slice
from lakehouse.ingest.files.delimited import Delimited
from lakehouse.ingest.files.faults import UNREADABLE, ObjectFault, object_row
from lakehouse.ingest.files.jsonl import JsonLines
from lakehouse.ingest.files.layout import layout
from lakehouse.ingest.files.occurrence import numbered
from lakehouse.ingest.files.passes import Reader, whole
from lakehouse.ingest.files.stores import ObjectGone, store
from lakehouse.ingest.files.text import utf8
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa


def feed(contract: Contract, source: Source, connection: Any) -> FilesFeed:
    """The feed of objects in a bucket or a folder."""
    return FilesFeed(contract, source, connection)


class FilesFeed:
    """Objects under one place, each handed over whole."""

    def __init__(self, contract: Contract, source: Source, connection: Any) -> None:
        """`connection` is an S3 client of boto3, or a `stores.Folder`. Raises StoreUnreadable."""
        self.layout = layout(contract, source)
        self.store = store(connection, source.object)

    def deliveries(self) -> Sequence[str]:
        """Objects whose key fits the pattern, in the order they came. Raises StoreUnreadable."""
        there = [stored for stored in self.store.listed() if self.layout.pattern.search(stored.key)]
        return [f"{s.key}#{s.etag}" for s in sorted(there, key=lambda s: (s.modified, s.key))]

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """A slice a delivery; windows say nothing about files."""
        slices = []
        for number, name in enumerate(deliveries):
            key, _, etag = name.rpartition("#")
            digest = hashlib.sha256(name.encode()).hexdigest()[:12]
            slices.append(Slice(f"{number:06d}-{digest}", {"key": key, "etag": etag}))
        return slices

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """The rows of one object, or the one row that sets it aside. Raises ObjectGone, StoreUnreadable."""
        key, etag = piece.spec["key"], piece.spec["etag"]
        given = self.layout.groups(key)
        begun = False
        try:
            for batch in self._rows(key, etag):
                begun = True
                yield _with(batch, given)
        except ObjectFault as fault:
            if begun:
                raise ObjectGone(
                    f"Object {key} changed while it was read: {fault.reason}.",
                    "Clear the task, or let the next run take what is there then.",
                ) from None
            content, size = self.store.opened(key, etag)
            content.close()
            names = [*self.layout.columns, *filter(None, [self.layout.occurrence])]
            yield _with(object_row(names, key, etag, size, fault), given)

    def _rows(self, key: str, etag: str) -> Iterator[pa.RecordBatch]:
        def opened() -> BinaryIO:
            content, _ = self.store.opened(key, etag)
            return utf8(content, self.layout.encoding)

        rows = whole(self._reader(key), opened)
        yield from numbered(rows, self.layout.occurrence) if self.layout.occurrence else rows()

    def _reader(self, key: str) -> Reader:
        form, delimiter = self.layout.of_key(key)
        if form == "csv":
            return Delimited(self.layout, delimiter)
        if form == "jsonl":
            return JsonLines(self.layout)
        raise ObjectFault(UNREADABLE, "the key has no suffix of a known format, and options.format is not set")


def _with(batch: pa.RecordBatch, given: dict[str, str | None]) -> pa.RecordBatch:
    """`batch` with a column for each of `given`, the same in every row."""
    import pyarrow as pa

    for name, value in given.items():
        batch = batch.append_column(name, pa.array([value] * batch.num_rows, pa.string()))
    return batch
