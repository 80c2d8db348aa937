"""Applies the shop's days to its sources: Snowflake and Redshift through the connections it is given, the rest by file.

Each source remembers the days it holds, so a day is applied once; one that broke off half-way is applied again whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.sandbox.shop import ddl
from lakehouse.sandbox.shop.arrow import table_of
from lakehouse.sandbox.shop.manifest import write_manifest
from lakehouse.sandbox.shop.model import WAREHOUSES, Change, DayChanges, ShopConfig, ShopError
from lakehouse.sandbox.shop.simulation import Shop
from lakehouse.sandbox.web import store

#: Rows of one INSERT into Redshift; above a few hundred nothing is gained.
ROWS_A_STATEMENT = 500
#: Sources whose stand-in keeps its rows in a file.
WEB = ("salesforce", "http")


@dataclass(frozen=True)
class AppliedTable:
    """What became of one table on one day."""

    source: str
    table: str
    #: Rows the day has for this table.
    rows: int
    #: False where the source held the day already.
    applied: bool


def apply_day(
    snowflake_connection: Any,
    postgres_connection: Any,
    n: int,
    config: ShopConfig | None = None,
    *,
    shop: Shop | None = None,
    manifests: Path | None = None,
    web: Path | None = None,
) -> list[AppliedTable]:
    """Bring day `n` into the sources and write its manifest; a source that holds the day is left alone.

    `web` is the store behind Salesforce and the rates API (see `lakehouse.sandbox.web`); without it they are left out.

    Pass `shop` to apply many days without simulating the earlier ones each time. The Snowflake session ends up in
    SHOP.PUBLIC. Raises ShopError when an earlier day is missing or the source was filled by another configuration.
    """
    shop = shop or Shop(config)
    changes = shop.day(n)
    parts = {
        source: [c for c in changes.changes.values() if c.table.source == source]
        for source in (*WAREHOUSES, *(WEB if web else ()))
    }
    new = {
        "snowflake": _apply_snowflake(snowflake_connection, changes, parts["snowflake"], shop.config),
        "redshift": _apply_redshift(postgres_connection, changes, parts["redshift"], shop.config),
    }
    if web:
        new |= dict.fromkeys(WEB, _apply_web(web, changes, [c for source in WEB for c in parts[source]], shop.config))
    write_manifest(shop.config, changes, manifests)
    return [AppliedTable(source, c.table.name, len(c), new[source]) for source in parts for c in parts[source]]


def apply_through(
    snowflake_connection: Any,
    postgres_connection: Any,
    n: int,
    config: ShopConfig | None = None,
    *,
    manifests: Path | None = None,
    web: Path | None = None,
) -> list[AppliedTable]:
    """Apply every day from 0 to `n` that is missing, in order."""
    shop = Shop(config)
    done: list[AppliedTable] = []
    for day in range(n + 1):
        done += apply_day(snowflake_connection, postgres_connection, day, shop=shop, manifests=manifests, web=web)
    return done


def applied_days(snowflake_connection: Any, postgres_connection: Any) -> dict[str, list[int]]:
    """The days each source holds, in order; makes the empty tables where there are none."""
    with _snowflake_cursor(snowflake_connection) as cursor:
        snowflake = sorted(_held(cursor, ddl.snowflake_table(ddl.APPLIED)))
    with _redshift_transaction(postgres_connection) as cursor:
        redshift = sorted(_held(cursor, ddl.redshift_table(ddl.APPLIED)))
    return {"snowflake": snowflake, "redshift": redshift}


def _apply_snowflake(connection: Any, changes: DayChanges, parts: list[Change], config: ShopConfig) -> bool:
    applied = ddl.snowflake_table(ddl.APPLIED)
    with _snowflake_cursor(connection) as cursor:
        if _is_there(_held(cursor, applied), "Snowflake", changes.n, config):
            return False
        _upload(cursor, changes.n, parts)
        # No transaction around the tables: a client killed inside one would leave the stand-in locked, which does not
        # end the sessions of the dead. Every statement here is atomic and repeatable, and the mark comes last.
        for change in parts:
            for statement in ddl.snowflake_replace(change.table):
                cursor.execute(statement)
        cursor.execute(ddl.insert(applied, ("DAY", "CONFIG")), (changes.n, config.fingerprint()))
        connection.commit()
        for change in parts:
            cursor.execute(f"DROP TABLE IF EXISTS {ddl.snowflake_table(change.table.name, ddl.STAGING)}")
    return True


def _upload(cursor: Any, n: int, parts: list[Change]) -> None:
    """PUT each table as Parquet and COPY it into its staging twin: a few round trips whatever the size."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="lakehouse-shop-") as name:
        for change in parts:
            file = Path(name) / f"{change.table.name}.parquet"
            pq.write_table(table_of(change), file)
            folder = f"day_{n:03d}"
            cursor.execute(f"PUT '{file.as_uri()}' @{ddl.STAGE}/{folder} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
            for statement in ddl.snowflake_load(change.table, folder):
                cursor.execute(statement)


def _apply_redshift(connection: Any, changes: DayChanges, parts: list[Change], config: ShopConfig) -> bool:
    applied = ddl.redshift_table(ddl.APPLIED)
    with _redshift_transaction(connection) as cursor:
        if _is_there(_held(cursor, applied), "Redshift", changes.n, config):
            return False
        for change in parts:
            rows, table = list(change.tuples()), ddl.redshift_table(change.table.name)
            for start in range(0, len(rows), ROWS_A_STATEMENT):
                some = rows[start : start + ROWS_A_STATEMENT]
                cursor.execute(ddl.insert(table, change.table.names, len(some)), [v for row in some for v in row])
        cursor.execute(ddl.insert(applied, ("day", "config")), (changes.n, config.fingerprint()))
    return True


def _apply_web(file: Path, changes: DayChanges, parts: list[Change], config: ShopConfig) -> bool:
    with store.opened(file) as db:
        if _is_there(store.held(db), "Salesforce", changes.n, config):
            return False
        for change in parts:
            store.put(db, change)
        store.mark(db, changes.n, config.fingerprint())
    return True


def _held(cursor: Any, applied: str) -> dict[int, str]:
    cursor.execute(ddl.select(applied, ("day", "config")))
    return {int(day): config for day, config in cursor.fetchall()}


def _is_there(held: dict[int, str], source: str, n: int, config: ShopConfig) -> bool:
    """Whether the source holds day `n` of this very shop."""
    foreign = {text for text in held.values() if text != config.fingerprint()}
    if foreign:
        raise ShopError(
            f"{source} holds another shop ({sorted(foreign)[0]}), not this one ({config.fingerprint()}).",
            "Use the configuration it was seeded with, or drop the sandbox's source data and seed again.",
        )
    missing = sorted(set(range(n)) - set(held))
    if n not in held and missing:
        raise ShopError(
            f"Day {n} cannot be applied to {source}: day {missing[0]} is missing.",
            f"Days build on each other: apply day {missing[0]} first.",
        )
    return n in held


@contextmanager
def _snowflake_cursor(connection: Any) -> Iterator[Any]:
    """A cursor in SHOP.PUBLIC, with everything made that was missing."""
    cursor = connection.cursor()
    try:
        for statement in ddl.snowflake_setup():
            cursor.execute(statement)
        yield cursor
    finally:
        cursor.close()


@contextmanager
def _redshift_transaction(connection: Any) -> Iterator[Any]:
    """A cursor whose work is committed whole or not at all, with everything made that was missing.

    A transaction the connection has open already is joined, and ends with it.
    """
    before = connection.autocommit
    if before:
        connection.autocommit = False
    cursor = connection.cursor()
    try:
        for statement in ddl.redshift_setup():
            cursor.execute(statement)
        yield cursor
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        cursor.close()
        if before:
            connection.autocommit = True
