"""What an object or a line can have wrong, and the rows that say so in its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.ingest.feed import FAULT, RAW

if TYPE_CHECKING:
    import pyarrow as pa

#: Of whole objects. The first record is no header of this table.
WRONG_HEADER = "file_wrong_header"
#: Bytes that its encoding does not know.
BAD_ENCODING = "file_bad_encoding"
#: It ends too early: inside gzip, or inside a quoted field.
TRUNCATED = "file_truncated"
#: No text of the format at all.
UNREADABLE = "file_unreadable"
#: Of one line: another number of fields than the header, or no JSON object.
MALFORMED = "line_malformed"

#: Longest record, in bytes, so that memory is bounded.
RECORD_LIMIT = 64 * 2**20
#: Most columns of an object.
COLUMN_LIMIT = 2000


class ObjectFault(Exception):
    """An object cannot be read whole. `fault` is one of the names above.

    `reason` never quotes the object: what stands where a header should be may be personal data.
    """

    def __init__(self, fault: str, reason: str) -> None:
        """Keep both."""
        super().__init__(fault, reason)
        self.fault, self.reason = fault, reason


def object_row(names: Sequence[str], key: str, etag: str, size: int, fault: ObjectFault) -> pa.RecordBatch:
    """The one row that stands for an object set aside: `names` null, FAULT, and RAW telling which object and why."""
    told = json.dumps({"key": key, "etag": etag, "size": size, "reason": fault.reason})
    return _rows(names, [fault.fault], [told])


def line_rows(names: Sequence[str], lines: Sequence[tuple[int, str]], hide: bool) -> pa.RecordBatch:
    """A row for each of `lines` (number of the record in its object, text): `names` null, FAULT, and the line in RAW.

    With `hide` RAW has its SHA-256, length in bytes and number instead: the line may hold personal data, and nobody
    can say where.
    """
    return _rows(names, [MALFORMED] * len(lines), [_told(*line) if hide else line[1] for line in lines])


def _told(record: int, line: str) -> str:
    content = line.encode()
    return json.dumps({"sha256": hashlib.sha256(content).hexdigest(), "length": len(content), "record": record})


def _rows(names: Sequence[str], faults: list[str], raw: list[str]) -> pa.RecordBatch:
    import pyarrow as pa

    empty = pa.nulls(len(faults), pa.string())
    columns = [*[empty] * len(names), pa.array(faults, pa.string()), pa.array(raw, pa.string())]
    return pa.RecordBatch.from_arrays(columns, names=[*names, FAULT, RAW])


def faultless(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """`batch` with its columns called `names`, and FAULT and RAW null behind them."""
    import pyarrow as pa

    empty = pa.nulls(batch.num_rows, pa.string())
    return pa.RecordBatch.from_arrays([*batch.columns, empty, empty], names=[*names, FAULT, RAW])
