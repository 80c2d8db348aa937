"""The SQL that publishing one table takes. Identifiers quoted by sqlglot, values bound (OPS-6); nothing is run here.

Staging table and stage are temporary: they end with the session, whoever is killed. Whatever changes rows carries the
fence: it changes none unless the control row is still held by this very attempt. A transaction that Snowflake ended
because its session slept would otherwise go on, statement by statement, outside of any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from lakehouse.delta.feed import CHANGE, VERSION
from lakehouse.ingest.sql.statements import Statement
from lakehouse.warehouse.columns import Target

CONTROL = "_LAKEHOUSE_PUBLISHED"
#: Columns of the staging table beside the rows' own.
CHANGE_THERE, VERSION_THERE = CHANGE.upper(), VERSION.upper()
#: What a control row tells, in this order.
TOLD = ("VERSION", "TABLE_ID", "COLUMNS", "ROW_COUNT", "PUBLISHED_AT")

_CONTROL = (
    ("TABLE_NAME", "VARCHAR"),
    ("VERSION", "NUMBER(18,0)"),
    ("TABLE_ID", "VARCHAR"),
    ("COLUMNS", "VARCHAR"),
    ("ROW_COUNT", "NUMBER(18,0)"),
    ("ATTEMPT", "VARCHAR"),
    ("PUBLISHED_AT", "TIMESTAMP_TZ"),
)


def quoted(*parts: str) -> str:
    """A dotted name."""
    return ".".join(exp.to_identifier(part, quoted=True).sql("snowflake") for part in parts)


@dataclass(frozen=True)
class Place:
    """Where a table goes, and what one attempt needs beside it."""

    database: str
    schema: str
    table: str
    attempt: str

    @property
    def target(self) -> str:
        """The table."""
        return quoted(self.database, self.schema, self.table)

    @property
    def control(self) -> str:
        """The control table: a row a table, with the version that it holds."""
        return quoted(self.database, self.schema, CONTROL)

    @property
    def staged(self) -> str:
        """The attempt's staging table."""
        return quoted(self.database, self.schema, f"_STAGED_{self.table}_{self.attempt}".upper())

    @property
    def stage(self) -> str:
        """The attempt's stage."""
        return quoted(self.database, self.schema, f"_STAGE_{self.table}_{self.attempt}".upper())


def schema_exists(place: Place) -> Statement:
    """One row where the schema is there: who may not create one must not be asked to."""
    source = quoted(place.database, "INFORMATION_SCHEMA", "SCHEMATA")
    return Statement(_sql("SELECT 1 FROM", source, "WHERE SCHEMA_NAME = %(schema)s"), {"schema": place.schema})


def make_schema(place: Place) -> Statement:
    """The schema."""
    return Statement(f"CREATE SCHEMA IF NOT EXISTS {quoted(place.database, place.schema)}")


def columns(place: Place, table: str) -> Statement:
    """Name, type, digits and scale of every column of `table` in the place's schema; no rows where it is not there."""
    source = quoted(place.database, "INFORMATION_SCHEMA", "COLUMNS")
    return Statement(
        _sql(
            "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE FROM",
            source,
            "WHERE TABLE_SCHEMA = %(schema)s AND TABLE_NAME = %(table)s ORDER BY ORDINAL_POSITION",
        ),
        {"schema": place.schema, "table": table},
    )


def make_control(place: Place) -> Statement:
    """The control table."""
    return Statement(f"CREATE TABLE IF NOT EXISTS {place.control} ({', '.join(f'{n} {t}' for n, t in _CONTROL)})")


def begin_row(place: Place, name: str) -> Statement:
    """A control row for a table that has none. Two at once make two alike, which from then on are one to all others."""
    found = _sql("SELECT 1 FROM", place.control, "WHERE TABLE_NAME = %(name)s")
    columns = ", ".join(name for name, _ in _CONTROL)
    return Statement(
        _sql(
            f"INSERT INTO {place.control} ({columns})",
            f"SELECT %(name)s, -1, '', '', 0, '', CURRENT_TIMESTAMP() WHERE NOT EXISTS ({found})",
        ),
        {"name": name},
    )


def told(place: Place, name: str) -> Statement:
    """What the control row tells; no rows where the table never went."""
    return Statement(
        _sql(
            f"SELECT {', '.join(TOLD)} FROM", place.control, "WHERE TABLE_NAME = %(name)s ORDER BY VERSION DESC LIMIT 1"
        ),
        {"name": name},
    )


def forget(place: Place, name: str) -> Statement:
    """The control row goes: the table is not there, so no version of it is."""
    return Statement(_sql("DELETE FROM", place.control, "WHERE TABLE_NAME = %(name)s"), {"name": name})


def make_table(place: Place, columns: Sequence[Target], key: Sequence[str]) -> Statement:
    """The table, empty."""
    required = {name.upper() for name in key}
    listed = [f"{quoted(c.there)} {c.type_there}{' NOT NULL' * (c.there in required)}" for c in columns]
    return Statement(f"CREATE TABLE IF NOT EXISTS {place.target} ({', '.join(listed)})")


def add_column(place: Place, column: Target) -> Statement:
    """A column that the table lacks."""
    return Statement(f"ALTER TABLE {place.target} ADD COLUMN IF NOT EXISTS {quoted(column.there)} {column.type_there}")


def staging(place: Place, columns: Sequence[Target]) -> list[Statement]:
    """Staging table and stage of the attempt."""
    listed = [f"{quoted(c.there)} {c.type_there}" for c in columns]
    listed += [f"{quoted(CHANGE_THERE)} VARCHAR", f"{quoted(VERSION_THERE)} NUMBER(19,0)"]
    return [
        Statement(f"CREATE TEMPORARY TABLE {place.staged} ({', '.join(listed)})"),
        Statement(f"CREATE TEMPORARY STAGE {place.stage}"),
    ]


def put(place: Place, uri: str) -> Statement:
    """A local file, by its URI, into the stage. Parquet is compressed already."""
    return Statement(f"PUT '{uri}' @{place.stage} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")


def copy(place: Place) -> Statement:
    """What is in the stage into the staging table, all or nothing."""
    return Statement(
        f"COPY INTO {place.staged} FROM @{place.stage} FILE_FORMAT = (TYPE = PARQUET BINARY_AS_TEXT = FALSE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = TRUE"
    )


def lock(place: Place, name: str) -> Statement:
    """The control row is this attempt's until the transaction ends: others wait here."""
    return Statement(
        f"UPDATE {place.control} SET ATTEMPT = %(attempt)s WHERE TABLE_NAME = %(name)s",
        {"attempt": place.attempt, "name": name},
    )


def merge(place: Place, name: str, columns: Sequence[Target], key: Sequence[str]) -> Statement:
    """The last change of each key, deletes included."""
    keys = [quoted(part.upper()) for part in key]
    names = [quoted(c.there) for c in columns]
    sets = ", ".join(f"{n} = S.{n}" for n in names if n not in keys)
    # Of one version a row that came goes before one that went: a file was written anew.
    newest = f"{quoted(VERSION_THERE)} DESC, CASE WHEN {quoted(CHANGE_THERE)} = 'delete' THEN 1 ELSE 0 END"
    fence, values = _fence(place, name)
    source = _sql(
        "SELECT * FROM",
        f"{place.staged} WHERE {fence}",
        f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {', '.join(keys)} ORDER BY {newest}) = 1",
    )
    return Statement(
        _sql(
            f"MERGE INTO {place.target} AS T USING ({source}) AS S ON {' AND '.join(f'T.{k} = S.{k}' for k in keys)}",
            f"WHEN MATCHED AND S.{quoted(CHANGE_THERE)} = 'delete' THEN DELETE",
            *([f"WHEN MATCHED THEN UPDATE SET {sets}"] if sets else []),
            f"WHEN NOT MATCHED AND S.{quoted(CHANGE_THERE)} <> 'delete'",
            f"THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f'S.{n}' for n in names)})",
        ),
        values,
    )


def replace(place: Place, name: str, columns: Sequence[Target]) -> list[Statement]:
    """All rows go, and the staged ones come. No TRUNCATE: it would commit by itself."""
    names = ", ".join(quoted(c.there) for c in columns)
    fence, values = _fence(place, name)
    return [
        Statement(_sql("DELETE FROM", f"{place.target} WHERE {fence}"), values),
        Statement(
            _sql(f"INSERT INTO {place.target} ({names}) SELECT {names} FROM", f"{place.staged} WHERE {fence}"), values
        ),
    ]


def totals(place: Place, measures: Sequence[Target]) -> Statement:
    """Rows, and the sum of each measure as text; NULL where no row has a value."""
    sums = [f"CAST(SUM(CAST({quoted(c.there)} AS NUMBER(38,{c.scale}))) AS VARCHAR)" for c in measures]
    return Statement(_sql(f"SELECT {', '.join(['COUNT(*)', *sums])} FROM", place.target))


def record(place: Place, name: str, version: int, table_id: str, columns: str, rows: int) -> Statement:
    """The control row tells of the version; it changes nothing where the attempt does not hold it."""
    sets = "VERSION = %(version)s, TABLE_ID = %(id)s, COLUMNS = %(columns)s, ROW_COUNT = %(rows)s"
    return Statement(
        f"UPDATE {place.control} SET {sets}, PUBLISHED_AT = CURRENT_TIMESTAMP() "
        "WHERE TABLE_NAME = %(name)s AND ATTEMPT = %(attempt)s",
        {
            "version": version,
            "id": table_id,
            "columns": columns,
            "rows": rows,
            "name": name,
            "attempt": place.attempt,
        },
    )


def holding(place: Place, name: str) -> Statement:
    """One row where the control row is still this attempt's."""
    held = _sql("SELECT 1 FROM", place.control, "WHERE TABLE_NAME = %(name)s AND ATTEMPT = %(attempt)s")
    return Statement(held, {"name": name, "attempt": place.attempt})


def _fence(place: Place, name: str) -> tuple[str, dict[str, Any]]:
    held = holding(place, name)
    return f"EXISTS ({held.text})", held.values


def _sql(*parts: str) -> str:
    return " ".join(parts)
