"""The embedded store: one SQLite file, one row a key, changed by compare-and-set."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from lakehouse.clock import now
from lakehouse.errors import LakehouseError
from lakehouse.watermarks import text


class StoreBroken(LakehouseError):
    """The file is no store of watermarks, or not any more."""


class SqliteStore:
    """A file of watermarks, for one machine. See `lakehouse.watermarks.WatermarkStore`."""

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
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise StoreBroken(
                f"{self.path} cannot be read as a store of watermarks: {error}.",
                "Delete the file and type `lakehouse watermarks rebuild`: they follow from the ledger.",
            ) from None
        finally:
            db.close()

    def get(self, key: str) -> datetime | None:
        """The watermark under `key`."""
        return text.read(self._raw(key))

    def all(self) -> dict[str, datetime]:
        """Every watermark."""
        with self._connection() as db:
            rows = db.execute("SELECT key, value FROM watermark ORDER BY key").fetchall()
        return {key: moment for key, value in rows if (moment := text.read(value)) is not None}

    def update(self, key: str, decide: Callable[[datetime | None], datetime]) -> datetime:
        """Make the watermark what `decide` says; asked again where another process was quicker."""
        while True:
            raw = self._raw(key)
            wanted = decide(text.read(raw))
            if raw == text.write(wanted) or self._swap(key, raw, text.write(wanted)):
                return wanted

    def _raw(self, key: str) -> str | None:
        with self._connection() as db:
            row = db.execute("SELECT value FROM watermark WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _swap(self, key: str, before: str | None, after: str) -> bool:
        """Whether the value was `before` and is now `after`."""
        moment = now().isoformat()
        with self._connection() as db:
            if before is None:
                done = db.execute("INSERT OR IGNORE INTO watermark VALUES (?, ?, ?)", (key, after, moment))
            else:
                done = db.execute(
                    "UPDATE watermark SET value = ?, set_at = ? WHERE key = ? AND value = ?",
                    (after, moment, key, before),
                )
            return done.rowcount == 1
