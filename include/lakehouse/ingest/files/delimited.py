"""Delimited text (RFC 4180, any delimiter): its header, then its records as Arrow batches of text.

Null is the empty field without quotes and nothing else. Empty lines are no records.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from lakehouse.ingest.files.faults import (
    COLUMN_LIMIT,
    RECORD_LIMIT,
    TRUNCATED,
    UNREADABLE,
    WRONG_HEADER,
    ObjectFault,
    faultless,
    line_rows,
)
from lakehouse.ingest.files.layout import Layout
from lakehouse.ingest.files.passes import ReadAgain

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes parsed at a time, at first (two at least). A block holds at least one record.
BLOCK = 4 * 2**20
#: Longest header, in characters, and how much of the object is looked at to find its end.
HEADER_LIMIT, HEAD = 2**20, 2**16


class Delimited:
    """Reads one object, as often as it takes."""

    def __init__(self, layout: Layout, delimiter: str) -> None:
        """Nothing is read yet."""
        self.layout, self.delimiter = layout, delimiter
        self.names: tuple[str, ...] = ()
        self._block = BLOCK

    def batches(self, content: BinaryIO) -> Iterator[pa.RecordBatch]:
        """The records of `content` (UTF-8), under the header's names, FAULT and RAW behind them.

        Raises ObjectFault, and ReadAgain where a record was longer than expected.
        """
        names, start = self._header(content)
        if not names:
            return
        self.names = tuple(names)
        # A record of our own at the end: where it does not come out again, a quoted field has swallowed it.
        mark = uuid.uuid4().hex
        end = f"\n{mark}{self.delimiter * (len(names) - 1)}\n".encode()
        marked, bad = False, _Malformed()
        for batch in self._parsed(_Joined(start, content, end), bad):
            if batch.num_rows and batch.column(0)[-1].as_py() == mark:
                marked, batch = True, batch.slice(0, batch.num_rows - 1)
            yield faultless(batch, names)
            if bad.lines:
                yield line_rows(names, bad.taken(), self.layout.hide)
        if not marked:
            raise ObjectFault(TRUNCATED, "it ends inside a quoted field")

    def _parsed(self, content: _Joined, bad: _Malformed) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.csv as pc

        # Names of our own: those of the header may be anything.
        columns = [f"f{number}" for number in range(len(self.names))]
        try:
            yield from pc.open_csv(
                content,
                read_options=pc.ReadOptions(column_names=columns, block_size=self._block, use_threads=False),
                parse_options=pc.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=bad
                ),
                convert_options=pc.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if bad.size > RECORD_LIMIT:
                what = f"no line in {RECORD_LIMIT >> 20} MiB has as many fields as the header"
                raise ObjectFault(UNREADABLE, what) from None
            # Records that are longer than a block, and quotes that a block's end cut from each other.
            if not any(told in str(error) for told in ("straddling", "out of sync")):
                raise ObjectFault(UNREADABLE, "it is no delimited text") from None
            if self._block >= RECORD_LIMIT:
                what = f"a record is longer than {RECORD_LIMIT >> 20} MiB, or a quoted field never ends"
                raise ObjectFault(UNREADABLE, what) from None
            self._block *= 4
            raise ReadAgain from None

    def _header(self, content: BinaryIO) -> tuple[list[str], bytes]:
        """The names in the first record that is not empty, and what of `content` was read beyond it."""
        head = b""
        while True:
            more = content.read(HEAD)
            head += more
            # Only its last character can be cut.
            text = head.decode("utf-8", "ignore")
            lines = io.StringIO(text, newline="")
            try:
                record = next((r for r in csv.reader(lines, delimiter=self.delimiter, strict=True) if r), [])
            except csv.Error:
                record = []
            position = lines.tell()
            if more and (not record or position == len(text)):
                if len(text) > HEADER_LIMIT:
                    raise ObjectFault(WRONG_HEADER, f"no header in the first {HEADER_LIMIT} characters")
                continue
            if not record and text.strip("\r\n"):
                raise ObjectFault(WRONG_HEADER, "the header is no record")
            if record:
                self._check(record)
            return record, head[len(text[:position].encode()) :]

    def _check(self, names: Sequence[str]) -> None:
        """Raises ObjectFault for a header that is none of this table's."""
        folded = [name.lower() for name in names]
        if len(names) > COLUMN_LIMIT:
            raise ObjectFault(WRONG_HEADER, f"{len(names)} columns, more than {COLUMN_LIMIT}")
        missing = sorted(name for name in self.layout.columns if name.lower() in self.layout.required - set(folded))
        if missing:
            raise ObjectFault(WRONG_HEADER, f"required columns are missing: {', '.join(missing)}")
        for number, name in enumerate(folded, 1):
            if not name.strip():
                raise ObjectFault(WRONG_HEADER, f"column {number} has no name")
            if name in folded[: number - 1]:
                first = folded.index(name) + 1
                raise ObjectFault(WRONG_HEADER, f"columns {first} and {number} have the same name")
            if name in self.layout.reserved:
                raise ObjectFault(WRONG_HEADER, f"column {number} has a name that the feed itself gives")


class _Malformed:
    """Records with another number of fields than the header, as the parser comes by them."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.size = 0

    def __call__(self, row: Any) -> str:
        # The header is record 1.
        self.lines.append((row.number + 1, row.text))
        self.size += len(row.text) + HEAD // 1024
        return "error" if self.size > RECORD_LIMIT else "skip"

    def taken(self) -> list[tuple[int, str]]:
        lines, self.lines, self.size = self.lines, [], 0
        return lines


class _Joined:
    """What was read already, the rest of the content, and an end of our own, as Arrow reads a file.

    No block ends with a carriage return: where the next one begins with a line feed, Arrow takes the two for the end
    of a line and drops the line feed, even inside quotes.
    """

    closed = False

    def __init__(self, start: bytes, content: BinaryIO, end: bytes) -> None:
        self._parts = [io.BytesIO(start), content, io.BytesIO(end)]
        self._held = b""

    def read(self, size: int) -> bytes:
        """`size` bytes or one less; fewer at the end only."""
        data = self._held
        while len(data) < size and self._parts:
            more = self._parts[0].read(size - len(data))
            data += more
            if not more:
                self._parts.pop(0)
        self._held = b"\r" if data.endswith(b"\r") and len(data) > 1 else b""
        return data.removesuffix(self._held)
