"""The published watermark: a copy for outsiders of what the ledger says (ING-3). Written after the commit, never back.

Stores: an embedded SQLite file, or SSM Parameter Store. Values are ISO 8601 moments in UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lakehouse.clock import now
from lakehouse.config import settings
from lakehouse.errors import ConfigError


class WatermarkStore(Protocol):
    """Where the copy is kept."""

    def get(self, key: str) -> datetime | None:
        """The watermark under `key`, None when there is none."""

    def advance(self, key: str, value: datetime) -> datetime:
        """Raise the watermark to `value` unless it is there or beyond; what it is afterwards."""

    def all(self) -> dict[str, datetime]:
        """Every watermark."""


class SqliteStore:
    """An embedded store: one row a key; the comparison is part of the statement, so writers cannot race it back."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        with self._connection() as db:
            db.execute("CREATE TABLE IF NOT EXISTS watermark (key TEXT PRIMARY KEY, value TEXT NOT NULL, set_at TEXT)")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=30)
        try:
            with db:
                yield db
        finally:
            db.close()

    def get(self, key: str) -> datetime | None:
        """The watermark under `key`."""
        return self.all().get(key)

    def all(self) -> dict[str, datetime]:
        """Every watermark."""
        with self._connection() as db:
            return {
                k: datetime.fromisoformat(v) for k, v in db.execute("SELECT key, value FROM watermark ORDER BY key")
            }

    def advance(self, key: str, value: datetime) -> datetime:
        """Raise the watermark; ISO text of one zone and width compares as time does."""
        text = value.isoformat(timespec="microseconds")
        with self._connection() as db:
            db.execute(
                "INSERT INTO watermark VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET value = excluded.value, set_at = excluded.set_at WHERE excluded.value > watermark.value",
                (key, text, now().isoformat()),
            )
            (held,) = db.execute("SELECT value FROM watermark WHERE key = ?", (key,)).fetchone()
        return datetime.fromisoformat(held)


def store() -> WatermarkStore:
    """The configured store. Raises ConfigError for one that does not exist."""
    kind = settings().watermark_store
    if kind == "sqlite":
        return SqliteStore(Path(settings().watermark_location))
    raise ConfigError(f"Watermark store '{kind}' is unknown.", "Set watermarks.store to sqlite.")
