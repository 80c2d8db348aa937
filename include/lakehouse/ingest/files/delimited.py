"""Delimited text (RFC 4180, any delimiter): its header, then its records as Arrow batches of text.

Null is the empty field without quotes and nothing else. Empty lines are no records; a lone carriage return ends a line.
A quote means something where a field begins only. A line with a field whose quote is not closed, or closed before more
text, is malformed by itself, and reading goes on with the next line: a stray quote takes no other line along.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes read at a time, at least.
BLOCK = 4 * 2**20
#: Longest header, in characters, and how much of the object is looked at to find its end.
HEADER_LIMIT, HEAD = 2**20, 2**16

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class _Grammar:
    """Regular expressions for one delimiter. Possessive: none ever goes back, so each passes once."""

    #: As many whole records as there are.
    records: re.Pattern[bytes]
    #: One record that more bytes could complete.
    begun: re.Pattern[bytes]

    @classmethod
    def of(cls, delimiter: str) -> _Grammar:
        d = re.escape(delimiter.encode())
        plain = rb'[^"\r\n' + d + rb"][^\r\n" + d + rb"]*+"
        field = rb'(?:"[^"]*+(?:""[^"]*+)*+"|' + plain + rb"|)"
        # A carriage return that ends the bytes may be half of a line's end.
        record = field + rb"(?:" + d + field + rb")*+(?:\r\n|\n|\r(?!\Z))"
        begun = rb"(?:" + field + d + rb')*+(?:"[^"]*+(?:""[^"]*+)*+"?|' + plain + rb"|)\r?\Z"
        return cls(re.compile(rb"(?:" + record + rb")*+"), re.compile(begun))


class Delimited:
    """Reads one object, as often as it takes."""

    def __init__(self, layout: Layout, delimiter: str) -> None:
        """Nothing is read yet."""
        self.layout, self.delimiter = layout, delimiter
        self.names: tuple[str, ...] = ()

    def batches(self, content: BinaryIO) -> Iterator[pa.RecordBatch]:
        """The records of `content` (UTF-8), under the header's names, FAULT and RAW behind them. Raises ObjectFault."""
        import pyarrow as pa

        names, start = self._header(content)
        if not names:
            return
        self.names = tuple(names)
        # The header is record 1.
        number = 1
        for pieces in _framed(start, content, _Grammar.of(self.delimiter)):
            tables, bad = [], list[tuple[int, str]]()
            for records, broken in pieces:
                before = len(bad)
                if records:
                    tables.append(self._parsed(records, number, bad))
                    number += tables[-1].num_rows + len(bad) - before
                if broken is not None:
                    number += 1
                    bad.append((number, broken.decode()))
            if tables:
                for batch in pa.concat_tables(tables).combine_chunks().to_batches():
                    yield faultless(batch, names)
            if bad:
                yield line_rows(names, bad, self.layout.hide)

    def _parsed(self, records: bytes, number: int, bad: list[tuple[int, str]]) -> pa.Table:
        """The whole `records`, after `number` others; those with too many or too few fields go to `bad`."""
        import pyarrow as pa
        import pyarrow.csv as pc

        def skip(row: Any) -> str:
            bad.append((number + row.number, row.text))
            return "skip"

        # Names of our own: those of the header may be anything.
        columns = [f"f{place}" for place in range(len(self.names))]
        return pc.read_csv(
            # An empty line first: of a block's very start Arrow takes a byte order mark away, even in a value.
            pa.BufferReader(b"\n" + records),
            read_options=pc.ReadOptions(column_names=columns, block_size=len(records) + 2, use_threads=False),
            parse_options=pc.ParseOptions(delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                check_utf8=False,
            ),
        )

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


def _framed(start: bytes, content: BinaryIO, grammar: _Grammar) -> Iterator[list[tuple[bytes, bytes | None]]]:
    """(whole records, the broken line after them or None) in order, a list for each block of `start` and `content`.

    All that is read comes out again but for the ends of broken lines.
    """
    rest, last, parts = b"", False, [io.BytesIO(start), content]
    while not last:
        # As much again as is left over, so that a long record is not looked through once a block.
        chunk = _taken(parts, max(BLOCK, len(rest)))
        last, data, at = not chunk, rest + (chunk or b"\n"), 0
        pieces: list[tuple[bytes, bytes | None]] = []
        while True:
            end = _end(data, at, grammar)
            line = _LINE_END.search(data, end)
            begun = end < len(data) and grammar.begun.match(data, end) is not None
            if end == len(data) or (not last and (begun or line is None) and len(data) - end <= RECORD_LIMIT):
                pieces.append((data[at:end], None))
                break
            if line is None or line.start() - end > RECORD_LIMIT:
                raise ObjectFault(UNREADABLE, f"a line is longer than {RECORD_LIMIT >> 20} MiB")
            if last and begun and not data[line.end() :].strip(b"\r\n"):
                raise ObjectFault(TRUNCATED, "it ends inside a quoted field")
            pieces.append((data[at:end], data[end : line.start()]))
            at = line.end()
        yield pieces
        rest = data[end:]


def _taken(parts: list[BinaryIO], size: int) -> bytes:
    """The next `size` bytes of `parts`, fewer at the end only."""
    data = b""
    while len(data) < size and parts:
        more = parts[0].read(size - len(data))
        data += more
        if not more:
            parts.pop(0)
    return data


def _end(data: bytes, at: int, grammar: _Grammar) -> int:
    """Where the last whole record of `data` from `at` on ends, before the first that is broken."""
    if data.find(b'"', at) < 0:
        return max(data.rfind(b"\n", at), data.rfind(b"\r", at, len(data) - 1), at - 1) + 1
    found = grammar.records.match(data, at)
    return found.end() if found else at
