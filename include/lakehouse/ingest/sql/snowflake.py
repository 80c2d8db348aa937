"""Snowflake: the connector's Arrow result batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from lakehouse.ingest.sql.conform import conform
from lakehouse.ingest.sql.engine import SourceColumn
from lakehouse.ingest.sql.statements import Statement

if TYPE_CHECKING:
    import pyarrow as pa

#: Most decimal digits of a number that always fits 64 bits.
_BIGINT_DIGITS = 18


class Snowflake:
    """See `engine.Engine`."""

    dialect = "snowflake"

    def errors(self) -> type[Exception]:
        """What the connector raises."""
        import snowflake.connector.errors

        found: type[Exception] = snowflake.connector.errors.Error
        return found

    def describe(self, connection: Any, probe: Statement) -> list[SourceColumn]:
        """By the type codes of the connector. Decimals come as such from here on: by default they come as floats."""
        connection.arrow_number_to_decimal_setter = True
        with connection.cursor() as cursor:
            probe.run(cursor)
            return [_column(entry) for entry in cursor.description]

    def rows(self, connection: Any, statement: Statement) -> list[tuple[Any, ...]]:
        """All rows, as the connector's Python values."""
        with connection.cursor() as cursor:
            statement.run(cursor)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def batches(
        self, connection: Any, statement: Statement, columns: Sequence[SourceColumn], names: Mapping[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """One by one as the connector downloads them. A batch's own types follow its values: ours do not."""
        with connection.cursor() as cursor:
            statement.run(cursor)
            for table in cursor.fetch_arrow_batches(force_microsecond_precision=True):
                for batch in table.to_batches():
                    yield conform(batch.columns, columns, names)

    def micros(self, cursor: exp.Expr) -> exp.Expr:
        """Cut off: it knows nanoseconds."""
        return exp.TimestampTrunc(this=cursor, unit=exp.Var(this="MICROSECOND"))

    def moment_text(self, column: exp.Expr, zoned: bool) -> exp.Expr:
        """TO_VARCHAR."""
        utc = exp.Anonymous(this="CONVERT_TIMEZONE", expressions=[exp.Literal.string("UTC"), column])
        form = exp.Literal.string("YYYY-MM-DD HH24:MI:SS.FF6")
        return exp.Anonymous(this="TO_VARCHAR", expressions=[utc if zoned else column, form])


ENGINE = Snowflake()


def _column(entry: Any) -> SourceColumn:
    import pyarrow as pa
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    kind, digits, scale = FIELD_ID_TO_NAME[entry.type_code], entry.precision or 38, entry.scale or 0
    types: dict[str, pa.DataType] = {
        "FIXED": pa.int64() if digits <= _BIGINT_DIGITS and not scale else pa.decimal128(digits, scale),
        "REAL": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIMESTAMP_NTZ": pa.timestamp("us"),
        "TIMESTAMP_LTZ": pa.timestamp("us", tz="UTC"),
        "TIMESTAMP_TZ": pa.timestamp("us", tz="UTC"),
        "BINARY": pa.binary(),
    }
    return SourceColumn(entry.name, types.get(kind, pa.string()))
