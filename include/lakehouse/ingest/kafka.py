"""The feed of a Kafka topic: what its stream has landed (see `lakehouse.stream`), a delivery a data file.

A delivery's name says its partition and offsets, so the ledger tells which offsets were loaded. A record's value is a
JSON object, whose members come as text under their own names; where it came from stands in columns of ours. A value
that is no object is a row at fault: nothing that was in the topic is left out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse import paths
from lakehouse.contracts.kafka import META
from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.feed import FAULT, RAW, Slice
from lakehouse.ingest.files.faults import COLUMN_LIMIT
from lakehouse.ingest.files.jsonl import column, object_of, objects
from lakehouse.ingest.files.passes import conformed, read_through
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

#: A record without a value: a tombstone of a compacted topic, or a producer's mistake.
EMPTY = "record_empty"
BAD_ENCODING = "record_bad_encoding"
#: No JSON object, or one with a member that can be no column: named as one of ours, blank, or one too many.
MALFORMED = "record_malformed"
#: Names that a member cannot have.
RESERVED = {*META, FAULT, RAW}


def feed(contract: Contract, source: Source, connection: Any) -> KafkaFeed:
    """The feed of what the table's stream has landed; no broker is asked."""
    return KafkaFeed(contract)


class KafkaFeed:
    """Files of the landing table, each handed over whole."""

    def __init__(self, contract: Contract) -> None:
        """Nothing is read yet."""
        from lakehouse.stream.records import Records

        self.records = Records(paths.records(contract.name))
        self.names = [column.source_name for column in contract.columns if column.source_name not in META]

    def deliveries(self) -> Sequence[str]:
        """The landed files, in the order of their offsets."""
        return [piece.name for piece in self.records.pieces()]

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """A slice a delivery; windows say nothing about offsets."""
        slices = []
        for number, name in enumerate(deliveries):
            place, _, file = name.partition("#")
            partition, _, span = place.partition("/")
            spec = {"partition": int(partition), "file": file}
            slices.append(Slice(f"{number:06d}-{partition}-{span}", spec))
        return slices

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """The records of one file, in batches of equal columns. Raises RecordsGone.

        A small file is kept in memory until all its members are known; a large one is read a second time.
        """
        members = Members(self.names)

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in self.records.read(piece.spec["file"]):
                yield _decoded(batch, piece.spec["partition"], members)

        for batch in read_through(batches)():
            yield conformed(batch, (*META, *members.names))


class Members:
    """The names of columns that records have used so far: the contract's, then others, COLUMN_LIMIT together."""

    def __init__(self, names: Sequence[str]) -> None:
        """Begin with the contract's."""
        self.names = list(names)
        self._known = set(names)

    def take(self, names: set[str]) -> bool:
        """Whether all of `names` are columns, or become some."""
        new = names - self._known
        if not new:
            return True
        if names & RESERVED or not all(name.strip() for name in new):
            return False
        if len(self._known) + len(new) > COLUMN_LIMIT:
            return False
        self.names += sorted(new)
        self._known |= new
        return True


def _decoded(batch: pa.RecordBatch, partition: int, members: Members) -> pa.RecordBatch:
    import pyarrow as pa

    values, keys = batch.column("value").to_pylist(), batch.column("key").to_pylist()
    texts, faults = _texts(values)
    columns = _at_once(texts, faults, members)
    if columns is None:
        rows = _one_by_one(texts, faults, members)
        columns = [column([row.get(name) for row in rows]) for name in members.names]
    own = [
        batch.column("topic"),
        pa.array([partition] * batch.num_rows, pa.int32()),
        batch.column("offset"),
        batch.column("timestamp"),
        pa.array(map(_shown, keys), pa.string()),
    ]
    # What could not be read is kept as it was.
    raw = [None if fault is None else _shown(value) for fault, value in zip(faults, values, strict=True)]
    return pa.RecordBatch.from_arrays(
        [*own, *columns, pa.array(faults, pa.string()), pa.array(raw, pa.string())],
        names=[*META, *members.names, FAULT, RAW],
    )


def _texts(values: list[bytes | None]) -> tuple[list[str], list[str | None]]:
    """Each value as text, "" where it is none, and what is wrong with it."""
    texts: list[str] = []
    faults: list[str | None] = []
    for value in values:
        try:
            text, fault = (value or b"").decode(), None if value else EMPTY
        except UnicodeDecodeError:
            text, fault = "", BAD_ENCODING
        texts.append(text)
        faults.append(fault)
    return texts, faults


def _at_once(texts: list[str], faults: list[str | None], members: Members) -> list[pa.Array] | None:
    """The columns of the objects, one a text; None where one of them must be looked at by itself."""
    rows = None if any(faults) else objects(texts)
    if rows is None:
        return None
    names = set().union(*rows)
    try:
        # Half a surrogate pair, in a name or in a value.
        "".join(names).encode()
        if not members.take(names):
            return None
        return [column([row.get(name) for row in rows]) for name in members.names]
    except (UnicodeEncodeError, RecursionError):
        return None


def _one_by_one(texts: list[str], faults: list[str | None], members: Members) -> list[dict[str, Any]]:
    """The objects, one a text, empty where there is none; faults that come to light are put into `faults`."""
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        row = object_of(text) if faults[number] is None else None
        if faults[number] is None and (row is None or not members.take(set(row))):
            faults[number], row = MALFORMED, None
        rows.append(row or {})
    return rows


def _shown(value: bytes | None) -> str | None:
    """Bytes as text; as JSON with base64 in it where they are none."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return json.dumps({"base64": base64.b64encode(value).decode()})
