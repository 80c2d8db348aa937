"""Readers: run an extract query on an open client connection and stream Arrow record batches.

A reader never opens a connection: Airflow tasks hand in a hook's, the command line one of `lakehouse.connections`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows fetched at a time where the client has no Arrow of its own: bounds the worker's memory (ING-9).
FETCH = 50_000

Reader = Callable[[Any, str, datetime, datetime], Iterator["pa.RecordBatch"]]


def _bounds(low: datetime, high: datetime) -> dict[str, datetime]:
    """Source cursors are timestamps without zone, in UTC."""
    return {"low": low.astimezone(UTC).replace(tzinfo=None), "high": high.astimezone(UTC).replace(tzinfo=None)}


def read_snowflake(connection: Any, query: str, low: datetime, high: datetime) -> Iterator[pa.RecordBatch]:
    """Arrow result batches of the Snowflake connector."""
    with connection.cursor() as cursor:
        cursor.execute(query, _bounds(low, high))
        for table in cursor.fetch_arrow_batches():
            yield from table.to_batches()


def read_postgres(connection: Any, query: str, low: datetime, high: datetime) -> Iterator[pa.RecordBatch]:
    """Rows of a server-side cursor, turned into Arrow column by column. Serves Redshift's PostgreSQL protocol."""
    import pyarrow as pa

    with connection.cursor(name="lakehouse_extract") as cursor:
        cursor.itersize = FETCH
        cursor.execute(query, _bounds(low, high))
        while rows := cursor.fetchmany(FETCH):
            names = [column.name for column in cursor.description]
            yield pa.RecordBatch.from_arrays([pa.array(values) for values in zip(*rows, strict=True)], names=names)


READERS: dict[str, Reader] = {"snowflake": read_snowflake, "redshift": read_postgres}
