"""JSON lines: an object a line, as Arrow batches of text.

Numbers stay as they are written (a price of 1.10 is "1.10", whatever its length), nested values are JSON. A missing
name and null are both null; an object that gives a name twice is malformed. Empty lines are none.
Arrow's own reader of JSON is not used: it turns numbers into doubles and texts that look like dates into dates.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from lakehouse.ingest.files.faults import COLUMN_LIMIT, RECORD_LIMIT, UNREADABLE, ObjectFault, faultless, line_rows
from lakehouse.ingest.files.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes parsed at a time, at least.
BLOCK = 2 * 2**20


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name twice in one object")
    return members


_DECODER = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_Number, object_pairs_hook=_members)


class JsonLines:
    """Reads one object, as often as it takes."""

    def __init__(self, layout: Layout) -> None:
        """Nothing is read yet."""
        self.layout = layout
        #: Names by their lower case: Spark does not tell cases apart.
        self._names = {name.lower(): name for name in layout.columns}
        #: Those of them that no object has used yet, so that its spelling may still replace the contract's.
        self._unused = set(self._names)

    @property
    def names(self) -> tuple[str, ...]:
        """The contract's columns, and every further name that the object has used so far."""
        return tuple(self._names.values())

    def batches(self, content: BinaryIO) -> Iterator[pa.RecordBatch]:
        """The objects of `content` (UTF-8), FAULT and RAW behind their columns. Raises ObjectFault."""
        record = 0
        for lines in _blocks(content):
            batch = self._at_once(lines)
            if batch is None:
                rows, bad = self._one_by_one(lines, record)
                if bad:
                    yield line_rows(self.names, bad, self.layout.hide)
                batch = self._batch(rows) if rows else None
            if len(self._names) > COLUMN_LIMIT:
                raise ObjectFault(UNREADABLE, f"its objects have more than {COLUMN_LIMIT} different names")
            if batch is not None:
                yield batch
            record += len(lines)

    def _at_once(self, lines: list[str]) -> pa.RecordBatch | None:
        """The objects of `lines`; None where one of them must be looked at by itself."""
        rows = objects([line for line in lines if not _blank(line)])
        if not rows or not self._use(set().union(*rows)):
            return None
        try:
            return self._batch(rows)
        except (UnicodeEncodeError, RecursionError):
            return None

    def _one_by_one(self, lines: list[str], record: int) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
        """The objects of `lines` under names that are columns, and (number, line) of those that are none."""
        rows, bad = [], []
        for number, line in enumerate(lines, record + 1):
            if not _blank(line):
                row = object_of(line)
                if row is not None and self._fit(set(row)):
                    for name in row:
                        self._use({name})
                    rows.append({self._names[name.lower()]: value for name, value in row.items()})
                else:
                    bad.append((number, line))
        return rows, bad

    def _fit(self, names: set[str]) -> bool:
        """Whether `names` may be columns, side by side."""
        folded = {name.lower() for name in names}
        return len(folded) == len(names) and all(low.strip() and low not in self.layout.reserved for low in folded)

    def _use(self, names: set[str]) -> bool:
        """Whether each of `names` is a column, or becomes one, under this very spelling."""
        if not self._fit(names):
            return False
        folded = {name.lower(): name for name in sorted(names)}
        respelled = {low for low, name in folded.items() if self._names.get(low, name) != name}
        if not respelled <= self._unused:
            return False
        self._names |= folded
        self._unused -= folded.keys()
        return True

    def _batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        import pyarrow as pa

        names = self.names
        columns = [column([row.get(name) for row in rows]) for name in names]
        return faultless(pa.RecordBatch.from_arrays(columns, names=list(names)), names)


def _blocks(content: BinaryIO) -> Iterator[list[str]]:
    """Lines of `content`, many at a time."""
    left = b""
    while True:
        more = content.read(BLOCK)
        cut = more.rfind(b"\n")
        if more and cut < 0:
            left += more
            if len(left) > RECORD_LIMIT:
                raise ObjectFault(UNREADABLE, f"a line is longer than {RECORD_LIMIT >> 20} MiB")
            continue
        if left or more:
            yield (left + more[: max(cut, 0)]).decode().split("\n")
        if not more:
            return
        left = more[cut + 1 :]


def _blank(line: str) -> bool:
    return not line.strip(" \t\r")


def objects(lines: list[str]) -> list[dict[str, Any]] | None:
    """The objects of `lines` by one call of the decoder; None where not every line is one object.

    A text that nobody can have foreseen stands between the lines: no line can complete what another has begun.
    """
    mark = uuid.uuid4().hex
    separator = f',"{mark}",'
    try:
        found = _DECODER.decode(f"[{separator.join(lines)}]")
    except (ValueError, RecursionError):
        return None
    rows = found[::2]
    if len(found) != max(2 * len(lines) - 1, 0) or any(between != mark for between in found[1::2]):
        return None
    return rows if all(type(row) is dict for row in rows) else None


def object_of(line: str) -> dict[str, Any] | None:
    """The object in `line`; None where it is none, or one that UTF-8 cannot hold (half a surrogate pair)."""
    try:
        row = _DECODER.decode(line)
        _json(row).encode()
    except (ValueError, RecursionError):
        return None
    return row if type(row) is dict else None


def column(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(name)}:{_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
