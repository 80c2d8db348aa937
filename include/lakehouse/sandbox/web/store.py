"""The rows of Salesforce and the rates API: a SQLite file, written by the shop a day at a time, read by the server.

Times are text, ISO 8601 in UTC to the millisecond, so that their order is that of the text; amounts are text too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlglot import exp

from lakehouse.sandbox.shop.model import TABLES, Change, SourceTable

#: The file's name in the stand-in's folder.
FILE = "web.db"

#: Tables by the name of their Salesforce object.
OBJECTS: dict[str, SourceTable] = {
    "Account": TABLES["salesforce_accounts"],
    "Contact": TABLES["salesforce_contacts"],
    "Opportunity": TABLES["salesforce_opportunities"],
}
RATES = TABLES["fx_rates"]

_TYPES = {"id": "INTEGER", "count": "INTEGER", "flag": "INTEGER"}


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The store, made where it is missing; one transaction, kept whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(file, timeout=30)
    try:
        # The server reads on while the shop writes.
        db.execute("PRAGMA journal_mode = WAL")
        with db:
            for table in (*OBJECTS.values(), RATES):
                columns = ", ".join(f"{quote(c.name)} {_TYPES.get(c.kind, 'TEXT')}" for c in table.columns)
                key = ", ".join(map(quote, table.key))
                db.execute(f"CREATE TABLE IF NOT EXISTS {quote(table.name)} ({columns}, PRIMARY KEY ({key}))")
            db.execute("CREATE TABLE IF NOT EXISTS _applied_days (day INTEGER PRIMARY KEY, config TEXT)")
            yield db
    finally:
        db.close()


def quote(name: str) -> str:
    """`name` as an identifier of SQLite."""
    return exp.to_identifier(name, quoted=True).sql(dialect="sqlite")


def put(db: sqlite3.Connection, change: Change) -> None:
    """Put a day's rows of one table in the place of older ones with their keys."""
    names = change.table.names
    marks = ", ".join("?" * len(names))
    statement = f"INSERT OR REPLACE INTO {quote(change.table.name)} ({', '.join(map(quote, names))}) VALUES ({marks})"
    db.executemany(statement, ([_kept(value) for value in row] for row in change.tuples()))


def mark(db: sqlite3.Connection, day: int, config: str) -> None:
    """Note that `day` of the shop `config` is in the store."""
    db.execute("INSERT INTO _applied_days VALUES (?, ?)", (day, config))


def held(db: sqlite3.Connection) -> dict[int, str]:
    """{day: configuration of the shop} that the store holds."""
    return dict(db.execute("SELECT day, config FROM _applied_days").fetchall())


def moment(value: datetime) -> str:
    """A naive UTC time as the store keeps it."""
    return value.isoformat(timespec="milliseconds") + "Z"


def _kept(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    return value if value is None or isinstance(value, str | int) else str(value)
