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
from lakehouse.ingest.files.jsonl import column, object_of, objects
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

#: A record without a value: a tombstone of a compacted topic, or a producer's mistake.
EMPTY = "record_empty"
BAD_ENCODING = "record_bad_encoding"
#: No JSON object, or one with a member named as one of our columns.
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
        from lakehouse.stream.position import records
        from lakehouse.stream.records import Records

        self.records = Records(records(paths.stream(contract.name)))
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
        """The records of one file. Raises RecordsGone."""
        for batch in self.records.read(piece.spec["file"]):
            yield self._decoded(batch, piece.spec["partition"])

    def _members(self, rows: list[dict[str, Any]]) -> tuple[list[str], list[pa.Array]]:
        """Names of the members of `rows`, the contract's first, and a column for each."""
        names = [*self.names, *sorted(set().union(*rows).difference(self.names))]
        return names, [column([row.get(name) for row in rows]) for name in names]

    def _decoded(self, batch: pa.RecordBatch, partition: int) -> pa.RecordBatch:
        import pyarrow as pa

        values, keys = batch.column("value").to_pylist(), batch.column("key").to_pylist()
        texts, faults = _texts(values)
        try:
            names, members = self._members(_at_once(texts, faults) or _one_by_one(texts, faults))
        except (UnicodeEncodeError, RecursionError):
            # Half a surrogate pair, or objects nested too deeply: somebody has to be looked at by itself.
            names, members = self._members(_one_by_one(texts, faults))
        own = {
            "kafka_topic": batch.column("topic"),
            "kafka_partition": pa.array([partition] * batch.num_rows, pa.int32()),
            "kafka_offset": batch.column("offset"),
            "kafka_timestamp": batch.column("timestamp"),
            "kafka_key": pa.array(map(_shown, keys), pa.string()),
        }
        # What could not be read is kept as it was.
        raw = [None if fault is None else _shown(value) for fault, value in zip(faults, values, strict=True)]
        return pa.RecordBatch.from_arrays(
            [*own.values(), *members, pa.array(faults, pa.string()), pa.array(raw, pa.string())],
            names=[*own, *names, FAULT, RAW],
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


def _at_once(texts: list[str], faults: list[str | None]) -> list[dict[str, Any]] | None:
    """The objects, one a text; None where one of them must be looked at by itself."""
    rows = None if any(faults) else objects(texts)
    return None if rows is None or set().union(*rows) & RESERVED else rows


def _one_by_one(texts: list[str], faults: list[str | None]) -> list[dict[str, Any]]:
    """The objects, one a text, empty where there is none; faults that come to light are put into `faults`."""
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        row = object_of(text) if faults[number] is None else None
        if faults[number] is None and (row is None or row.keys() & RESERVED):
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
