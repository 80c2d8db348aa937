"""SQL of the two sources: the tables of the shop and the statements that load them. Text only, nothing is run here.

The Redshift side keeps to the dialect PostgreSQL shares. Identifiers are quoted by sqlglot.
"""

from __future__ import annotations

from sqlglot import exp

from lakehouse.sandbox.shop.model import TABLES, SourceTable

#: Where the shop lives in Snowflake, and where its loads pass through, out of readers' sight.
DATABASE, SCHEMA, STAGING = "SHOP", "PUBLIC", "STAGING"
STAGE = f"{DATABASE}.{STAGING}.SHOP_LOAD"
#: Where it lives in Redshift.
REDSHIFT_SCHEMA = "shop"
#: The table in each source that says which days it holds.
APPLIED = "_applied_days"

_SNOWFLAKE = {
    "id": "NUMBER(18,0)",
    "count": "NUMBER(9,0)",
    "money": "NUMBER(18,2)",
    "text": "VARCHAR",
    "code": "VARCHAR",
    "flag": "BOOLEAN",
    "time": "TIMESTAMP_NTZ",
}
_REDSHIFT = {
    "id": "bigint",
    "count": "integer",
    "money": "numeric(18,2)",
    "text": "varchar(1024)",
    "code": "varchar(2)",
    "flag": "boolean",
    "time": "timestamp",
}


def _snow(name: str) -> str:
    return exp.to_identifier(name.upper(), quoted=True).sql(dialect="snowflake")


def _red(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect="redshift")


def snowflake_table(name: str, schema: str = SCHEMA) -> str:
    """Full name of a shop table in Snowflake."""
    return ".".join(_snow(part) for part in (DATABASE, schema, name))


def redshift_table(name: str) -> str:
    """Full name of a shop table in Redshift."""
    return f"{_red(REDSHIFT_SCHEMA)}.{_red(name)}"


def snowflake_setup() -> list[str]:
    """Statements that make database, schemas, stage and tables where they are missing."""
    tables = [t for t in TABLES.values() if t.source == "snowflake"]
    return [
        f"CREATE DATABASE IF NOT EXISTS {DATABASE}",
        f"CREATE SCHEMA IF NOT EXISTS {DATABASE}.{SCHEMA}",
        f"CREATE SCHEMA IF NOT EXISTS {DATABASE}.{STAGING}",
        f"USE SCHEMA {DATABASE}.{SCHEMA}",
        f"CREATE STAGE IF NOT EXISTS {STAGE}",
        *(
            f"CREATE TABLE IF NOT EXISTS {snowflake_table(t.name)} "
            f"({', '.join(f'{_snow(c.name)} {_SNOWFLAKE[c.kind]}' for c in t.columns)})"
            for t in tables
        ),
        f"CREATE TABLE IF NOT EXISTS {snowflake_table(APPLIED)} (DAY NUMBER(9,0), CONFIG VARCHAR)",
    ]


def redshift_setup() -> list[str]:
    """Statements that make schema and tables where they are missing."""
    tables = [t for t in TABLES.values() if t.source == "redshift"]
    return [
        f"CREATE SCHEMA IF NOT EXISTS {_red(REDSHIFT_SCHEMA)}",
        *(
            f"CREATE TABLE IF NOT EXISTS {redshift_table(t.name)} "
            f"({', '.join(f'{_red(c.name)} {_REDSHIFT[c.kind]}' for c in t.columns)})"
            for t in tables
        ),
        f"CREATE TABLE IF NOT EXISTS {redshift_table(APPLIED)} (day integer, config varchar(512))",
    ]


def snowflake_load(table: SourceTable, folder: str) -> list[str]:
    """Fill the staging twin of `table` from the stage file <folder>/<table>.parquet."""
    twin = snowflake_table(table.name, STAGING)
    return [
        f"CREATE OR REPLACE TABLE {twin} LIKE {snowflake_table(table.name)}",
        f"COPY INTO {twin} FROM @{STAGE}/{folder}/{table.name}.parquet FILE_FORMAT = (TYPE = PARQUET) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE PURGE = TRUE",
    ]


def snowflake_replace(table: SourceTable) -> list[str]:
    """Two statements that put the staged rows in the place of older ones with their keys.

    Each is atomic and may be repeated: first the new rows come unless they are there (a null key is told apart by its
    cursor), then the older ones go. A row is never missing, whenever this breaks off.
    """
    cursor = _snow(table.cursor)
    names = ", ".join(_snow(name) for name in table.names)
    target, twin = snowflake_table(table.name), snowflake_table(table.name, STAGING)
    there = " AND ".join(f"t.{_snow(k)} IS NOT DISTINCT FROM n.{_snow(k)}" for k in table.key)
    older = " AND ".join(f"t.{_snow(k)} = n.{_snow(k)}" for k in table.key)
    found = " ".join(("SELECT 1 FROM", target, "AS t WHERE", there, "AND", f"t.{cursor} = n.{cursor}"))
    return [
        " ".join(
            ("INSERT INTO", target, f"({names})", "SELECT", names, "FROM", twin, f"AS n WHERE NOT EXISTS ({found})")
        ),
        " ".join(("DELETE FROM", target, "AS t USING", twin, "AS n WHERE", older, "AND", f"t.{cursor} < n.{cursor}")),
    ]


def insert(table: str, columns: tuple[str, ...], rows: int = 1) -> str:
    """An INSERT of `rows` rows with %s placeholders into a full table name; column names in lower case are safe."""
    values = f"({', '.join(['%s'] * len(columns))})"
    return " ".join(("INSERT INTO", table, f"({', '.join(columns)})", "VALUES", ", ".join([values] * rows)))


def select(table: str, columns: tuple[str, ...]) -> str:
    """All rows of a full table name."""
    return " ".join(("SELECT", ", ".join(columns), "FROM", table))
