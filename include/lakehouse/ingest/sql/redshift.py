"""Redshift, and PostgreSQL in its place: psycopg2, server-side cursors.

Moments, dates and decimals are taken as the text that the wire has and parsed by Arrow, a column at a time: faster
than Python objects, and what Python has no value for is still seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from lakehouse.ingest.sql.conform import conform
from lakehouse.ingest.sql.engine import SourceColumn
from lakehouse.ingest.sql.statements import Statement

if TYPE_CHECKING:
    import pyarrow as pa

#: Most rows of one fetch, and about how many bytes of Arrow it should make: both bound the worker's memory (ING-9).
FETCH, BYTES = 50_000, 32_000_000
#: Rows of the first fetch, which tells how wide they are.
FIRST = 1_000

_BYTEA, _NUMERIC = 17, 1700


class Redshift:
    """See `engine.Engine`."""

    dialect = "redshift"

    def errors(self) -> type[Exception]:
        """What psycopg2 raises."""
        import psycopg2

        found: type[Exception] = psycopg2.Error
        return found

    def describe(self, connection: Any, probe: Statement) -> list[SourceColumn]:
        """By the type codes of the protocol. Moments are told in UTC and floats in full from here on."""
        with connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute("SET extra_float_digits TO 2")
            probe.run(cursor)
            return [_column(entry) for entry in cursor.description]

    def rows(self, connection: Any, statement: Statement) -> list[tuple[Any, ...]]:
        """All rows; values that are no number, truth or bytes as text."""
        with connection.cursor() as cursor:
            _as_text(cursor)
            statement.run(cursor)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def batches(
        self, connection: Any, statement: Statement, columns: Sequence[SourceColumn], names: Mapping[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """Fetch by fetch of a server-side cursor."""
        with connection.cursor(name="lakehouse_extract") as cursor:
            _as_text(cursor)
            statement.run(cursor)
            size = FIRST
            while rows := cursor.fetchmany(size):
                batch = conform(_arrays(rows, columns), columns, names)
                size = max(1, min(FETCH, BYTES * len(rows) // max(batch.nbytes, 1)))
                del rows
                yield batch

    def micros(self, cursor: exp.Expr) -> exp.Expr:
        """As it is: it has no finer moments."""
        return cursor

    def moment_text(self, column: exp.Expr, zoned: bool) -> exp.Expr:
        """TO_CHAR."""
        local = exp.AtTimeZone(this=column, zone=exp.Literal.string("UTC")) if zoned else column
        return exp.Anonymous(this="TO_CHAR", expressions=[local, exp.Literal.string("YYYY-MM-DD HH24:MI:SS.US")])


ENGINE = Redshift()


@lru_cache(maxsize=1)
def _types() -> dict[int, tuple[pa.DataType, bool]]:
    """{type code: Arrow type, whether its text is parsed}; every other one is text."""
    import pyarrow as pa

    return {
        16: (pa.bool_(), False),
        _BYTEA: (pa.binary(), False),
        20: (pa.int64(), False),
        21: (pa.int16(), False),
        23: (pa.int32(), False),
        26: (pa.int64(), False),
        700: (pa.float32(), False),
        701: (pa.float64(), False),
        1082: (pa.date32(), True),
        1114: (pa.timestamp("us"), True),
        1184: (pa.timestamp("us", tz="UTC"), True),
    }


def _column(entry: Any) -> SourceColumn:
    import pyarrow as pa

    digits, scale = entry.precision or 0, entry.scale or 0
    if entry.type_code == _NUMERIC and 1 <= digits <= 38 and 0 <= scale <= digits:
        return SourceColumn(entry.name, pa.decimal128(digits, scale), parsed=True)
    return SourceColumn(entry.name, *_types().get(entry.type_code, (pa.string(), False)))


@lru_cache(maxsize=1)
def _text() -> Any:
    """The caster of every type whose own one would make a Python object of it that we do not want.

    16 bool, 17 bytea, 20 to 26 integers, 700 and 701 floats keep theirs, and text has it anyway.
    """
    import psycopg2.extensions

    kept = {16, _BYTEA, 20, 21, 23, 26, 700, 701}
    codes = tuple(code for code in psycopg2.extensions.string_types if code not in kept)
    return psycopg2.extensions.new_type(codes, "LAKEHOUSE_TEXT", lambda value, cursor: value)


def _as_text(cursor: Any) -> None:
    import psycopg2.extensions

    psycopg2.extensions.register_type(_text(), cursor)


def _arrays(rows: Sequence[tuple[Any, ...]], columns: Sequence[SourceColumn]) -> list[pa.Array]:
    import pyarrow as pa

    return [
        pa.array(
            [None if v is None else bytes(v) for v in values] if pa.types.is_binary(column.type) else values,
            pa.string() if column.parsed else column.type,
        )
        for values, column in zip(zip(*rows, strict=True), columns, strict=True)
    ]
