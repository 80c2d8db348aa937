"""Server-side unload: the engine writes Parquet to S3 by itself, and the objects are landed from there.

For loads that a client's connection is too narrow for: one statement a window instead of slices. Contracts with
protected columns are refused it when they are read: what is protected must be so before anything is written (ING-9).
The objects are deleted once they are landed; those of an attempt that died are written over by the next one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from lakehouse.contracts.model import Source
from lakehouse.ingest.sql.conform import conform
from lakehouse.ingest.sql.engine import Engine, SourceColumn
from lakehouse.ingest.sql.redshift import FETCH
from lakehouse.ingest.sql.statements import column

if TYPE_CHECKING:
    import pyarrow as pa

#: Size of the objects asked for, in bytes.
OBJECT_BYTES = 256 * 2**20


class Unload:
    """The unload of one source, by its `source.options.unload`."""

    def __init__(self, engine: Engine, source: Source) -> None:
        """`unload` says `to` (s3://bucket/prefix), and `stage` of Snowflake or `iamRole` of Redshift."""
        self.engine, self.options = engine, source.options["unload"]

    def selected(self, columns: Sequence[SourceColumn]) -> list[exp.Expr]:
        """The select list: moments as text, everything else as it is."""
        return [
            exp.alias_(self.engine.moment_text(column(c.name), c.type.tz is not None), c.name, quoted=True)
            if _moment(c)
            else column(c.name)
            for c in columns
        ]

    def columns(self, columns: Sequence[SourceColumn]) -> list[SourceColumn]:
        """`columns` as the objects have them: only moments are text to be parsed."""
        return [replace(c, parsed=_moment(c)) for c in columns]

    def statements(self, query: exp.Select, run: str) -> list[str]:
        """What the engine is told, in order; `run` names the folder under `to`."""
        text = query.sql(dialect=self.engine.dialect)
        if self.engine.dialect == "snowflake":
            stage = ".".join(
                exp.to_identifier(p, quoted=True).sql("snowflake") for p in self.options["stage"].split(".")
            )
            return [
                f"REMOVE @{stage}/{run}/",
                f"COPY INTO @{stage}/{run}/ FROM ({text}) FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE "
                f"MAX_FILE_SIZE = {OBJECT_BYTES}",
            ]
        quoted, to, role = (
            exp.Literal.string(part).sql("redshift")
            for part in (text, f"{self.options['to'].rstrip('/')}/{run}/", self.options["iamRole"])
        )
        size = OBJECT_BYTES // 2**20
        return [f"UNLOAD ({quoted}) TO {to} IAM_ROLE {role} FORMAT AS PARQUET CLEANPATH MAXFILESIZE {size} MB"]

    def batches(
        self,
        connection: Any,
        query: exp.Select,
        run: str,
        columns: Sequence[SourceColumn],
        names: Mapping[str, str],
    ) -> Iterator[pa.RecordBatch]:
        """Unload, then give what was unloaded, object by object, row group by row group; then delete it."""
        with connection.cursor() as cursor:
            for statement in self.statements(query, run):
                cursor.execute(statement)
        connection.commit()
        store = _store()
        bucket, _, prefix = self.options["to"].removeprefix("s3://").partition("/")
        folder = "/".join(part for part in (prefix.strip("/"), run, "") if part) + "/"
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
        keys = sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))
        for key in keys:
            with tempfile.TemporaryFile() as spool:
                store.download_fileobj(bucket, key, spool)
                yield from _read(spool, columns, names)
        for key in keys:
            store.delete_object(Bucket=bucket, Key=key)


def _moment(column: SourceColumn) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(column.type))


def _store() -> Any:
    from lakehouse import aws

    return aws.client("s3", aws.access())


def _read(spool: Any, columns: Sequence[SourceColumn], names: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Rows of a Parquet object under the source's names, whatever case the engine wrote them in."""
    import pyarrow.parquet as pq

    spool.seek(0)
    for batch in pq.ParquetFile(spool).iter_batches(FETCH):
        yield conform(batch.columns, columns, names)
