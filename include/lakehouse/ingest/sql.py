"""Feeds of SQL databases: a window of the cursor in chunks, each one query, streamed as Arrow.

Identifiers go through sqlglot, the window's bounds are bound parameters (OPS-6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.feed import Slice
from lakehouse.ledger.windows import Window, chunks

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows fetched at a time where the client has no Arrow of its own: bounds the worker's memory (ING-9).
FETCH = 50_000

#: sqlglot dialect of each kind of source.
DIALECTS = {"snowflake": "snowflake", "redshift": "redshift"}


def feed(contract: Contract, source: Source, connection: Any) -> SqlFeed:
    """The feed of a table in Snowflake or Redshift."""
    return SqlFeed(contract, source, connection)


class SqlFeed:
    """A table behind SQL."""

    def __init__(self, contract: Contract, source: Source, connection: Any) -> None:
        """`connection` is an open DB-API connection of the source's client."""
        self.source, self.connection = source, connection
        self.query = extract_query(contract, source)

    def deliveries(self) -> Sequence[str]:
        """None: a table is asked for windows."""
        return ()

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """Each window, the lookback below it included, in chunks."""
        return [
            Slice(f"{_stamp(low)}-{_stamp(high)}", {"low": low.isoformat(), "high": high.isoformat()})
            for window in windows
            for low, high in chunks(Window(window.low - self.source.lookback, window.high), self.source.chunk)
        ]

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """The rows of one chunk."""
        bounds = (datetime.fromisoformat(piece.spec[name]) for name in ("low", "high"))
        return READERS[self.source.kind](self.connection, self.query, *bounds)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S%f")


def extract_query(contract: Contract, source: Source) -> str:
    """SELECT of the contract's columns for `low` < cursor <= `high`, with pyformat parameters low and high.

    Rows without a cursor belong to no window; they come with every extract, so that quarantine sees them.
    """
    from sqlglot import exp

    def column(name: str) -> exp.Column:
        return exp.column(exp.to_identifier(name, quoted=True))

    cursor = column(contract.column(source.cursor).source_name)
    parts = [exp.to_identifier(part, quoted=True) for part in source.object.split(".")]
    table = exp.Table(
        this=parts[-1],
        db=parts[-2] if len(parts) > 1 else None,
        catalog=parts[-3] if len(parts) > 2 else None,
    )
    inside = exp.and_(
        exp.GT(this=cursor, expression=exp.Var(this="%(low)s")),
        exp.LTE(this=cursor.copy(), expression=exp.Var(this="%(high)s")),
    )
    query = (
        exp.select(*[column(c.source_name) for c in contract.columns])
        .from_(table)
        .where(exp.or_(exp.paren(inside), exp.Is(this=cursor.copy(), expression=exp.Null())))
    )
    return query.sql(dialect=DIALECTS[source.kind])


def bounds_of(low: datetime, high: datetime) -> dict[str, datetime]:
    """Parameters of `extract_query`. Source cursors are timestamps without zone, in UTC."""
    return {"low": low.astimezone(UTC).replace(tzinfo=None), "high": high.astimezone(UTC).replace(tzinfo=None)}


def read_snowflake(connection: Any, query: str, low: datetime, high: datetime) -> Iterator[pa.RecordBatch]:
    """Arrow result batches of the Snowflake connector."""
    with connection.cursor() as cursor:
        cursor.execute(query, bounds_of(low, high))
        for table in cursor.fetch_arrow_batches():
            yield from table.to_batches()


def read_postgres(connection: Any, query: str, low: datetime, high: datetime) -> Iterator[pa.RecordBatch]:
    """Rows of a server-side cursor, turned into Arrow column by column. Serves Redshift's PostgreSQL protocol."""
    import pyarrow as pa

    with connection.cursor(name="lakehouse_extract") as cursor:
        cursor.itersize = FETCH
        cursor.execute(query, bounds_of(low, high))
        while rows := cursor.fetchmany(FETCH):
            names = [column.name for column in cursor.description]
            yield pa.RecordBatch.from_arrays([pa.array(values) for values in zip(*rows, strict=True)], names=names)


READERS: dict[str, Callable[[Any, str, datetime, datetime], Iterator[pa.RecordBatch]]] = {
    "snowflake": read_snowflake,
    "redshift": read_postgres,
}
