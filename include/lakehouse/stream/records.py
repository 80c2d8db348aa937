"""The landing table of a stream: raw records as the topic held them, and which offsets are there.

Columns: topic_id STRING, partition INT (the table is partitioned by these two), offset BIGINT, topic STRING, timestamp
TIMESTAMP (the record's), key BINARY, value BINARY. Spark's streaming sink appends to it; what lies in it is read off
the log alone, where each file's statistics have its offsets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.delta import ColumnSpec, TableSpec, create_table, file_batches, files_in
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows handed on at a time, and about how many bytes at most.
BATCH, BATCH_BYTES = 50_000, 32 * 2**20

SPEC = TableSpec(
    (
        ColumnSpec("topic_id", "STRING"),
        ColumnSpec("partition", "INT"),
        ColumnSpec("offset", "BIGINT"),
        ColumnSpec("topic", "STRING"),
        ColumnSpec("timestamp", "TIMESTAMP"),
        ColumnSpec("key", "BINARY"),
        ColumnSpec("value", "BINARY"),
    ),
    partition_by=("topic_id", "partition"),
    properties={
        # Offsets must be in the statistics, values need not.
        "delta.dataSkippingNumIndexedCols": "3",
        # A new checkpoint is a new application of Delta's transactions.
        "delta.setTransactionRetentionDuration": "interval 30 days",
    },
)


class RecordsGone(LakehouseError):
    """A file of landed records that was to be read is there no more, or cannot be read."""


class RecordsDoubled(LakehouseError):
    """An offset lies in landing twice."""


@dataclass(frozen=True)
class Piece:
    """One data file: a stretch of one partition's offsets. Some may be missing in between: the topic's own gaps."""

    topic_id: str
    partition: int
    first: int
    last: int
    rows: int
    #: Path within the table, as the log spells it.
    file: str

    @property
    def name(self) -> str:
        """How the ledger names it as a delivery: partition, offsets, file."""
        return f"{self.partition}/{self.first}-{self.last}#{self.file}"


class Pieces(list[Piece]):
    """The files of the landing table at `path` at one look, in the order of topic, first offset and partition."""

    def __init__(self, path: str, pieces: Iterable[Piece]) -> None:
        """Put them in order."""
        super().__init__(sorted(pieces, key=lambda piece: (piece.topic_id, piece.first, piece.partition)))
        self.path = path

    def rows(self) -> int:
        """How many records they hold."""
        return sum(piece.rows for piece in self)

    def landed(self, topic_id: str) -> dict[int, int]:
        """Partition -> the offset after the last one landed, of the topic with this id. Raises RecordsDoubled."""
        ends: dict[int, int] = {}
        for piece in (piece for piece in self if piece.topic_id == topic_id):
            if piece.first < ends.get(piece.partition, 0):
                raise RecordsDoubled(
                    f"{self.path}: offset {piece.first} of partition {piece.partition} landed twice ({piece.file}).",
                    f"Rewind the partition to it (`lakehouse stream rewind --partition {piece.partition} --offset "
                    f"{piece.first}`): rows that were loaded are not doubled.",
                )
            ends[piece.partition] = piece.last + 1
        return ends

    def end(self, topic_id: str, partition: int) -> int:
        """The offset after the last one landed of a partition, doubled or not; 0 where none has."""
        there = (p.last + 1 for p in self if (p.topic_id, p.partition) == (topic_id, partition))
        return max(there, default=0)


@dataclass(frozen=True)
class Records:
    """The landing table at `path`."""

    path: str

    def begin(self) -> None:
        """Make the table; nothing happens where it is there."""
        create_table(self.path, SPEC)

    def pieces(self) -> Pieces:
        """Every file as the log has them now; none where there is no table."""
        found = []
        for file in files_in(self.path):
            told = json.loads(file.get("stats") or "{}")
            low, high = (told.get(bound, {}).get("offset") for bound in ("minValues", "maxValues"))
            if low is None or high is None:
                raise RecordsGone(
                    f"{self.path}: the log has no offsets for {file['path']}.",
                    "It was written by something else than this product; move it out of the table.",
                )
            values = file["partitionValues"]
            found.append(
                Piece(values["topic_id"], int(values["partition"]), low, high, told["numRecords"], file["path"])
            )
        return Pieces(self.path, found)

    def read(self, file: str) -> Iterator[pa.RecordBatch]:
        """The records of a file, without its partition columns. Raises RecordsGone."""
        from pyarrow import ArrowInvalid

        try:
            yield from file_batches(self.path, file, BATCH, BATCH_BYTES)
        except (FileNotFoundError, ArrowInvalid) as error:
            what = "is there no more" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise RecordsGone(
                f"{self.path}: {file} {what}.",
                "Restore it; or rewind the stream to its first offset, where the topic still has it "
                "(`lakehouse stream rewind`), and let a new run load it. See runbooks/streaming_restart.md.",
            ) from None
