"""The published watermark: a copy for outsiders of what the ledger says (ING-3). Written after the commit, never back.

Stores: an embedded SQLite file, or SSM Parameter Store. Values are ISO 8601 moments in UTC. What a copy should be is
not for a store to say: see `lakehouse.pipeline.watermark`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lakehouse.config import settings
from lakehouse.errors import ConfigError
from lakehouse.watermarks.sqlite import SqliteStore
from lakehouse.watermarks.ssm import SsmStore, WatermarkStoreUnavailable

__all__ = ["Decide", "SqliteStore", "SsmStore", "WatermarkStore", "WatermarkStoreUnavailable", "store"]

#: What a watermark should be, given what the store holds. May be asked again, when others write at the same time.
Decide = Callable[[datetime | None], datetime]


class WatermarkStore(Protocol):
    """Where the copy is kept. A value that is no moment counts as none."""

    def get(self, key: str) -> datetime | None:
        """The watermark under `key`, None when there is none."""

    def update(self, key: str, decide: Decide) -> datetime:
        """Make the watermark what `decide` says; what that is. No decision of another process is lost by it."""

    def all(self) -> dict[str, datetime]:
        """Every watermark."""


def store() -> WatermarkStore:
    """The configured store. Raises ConfigError for one that does not exist."""
    kind, location = settings().watermark_store, settings().watermark_location
    if kind == "sqlite":
        return SqliteStore(Path(location))
    if kind == "ssm":
        return SsmStore(location)
    raise ConfigError(f"Watermark store '{kind}' is unknown.", "Set watermarks.store to sqlite or ssm.")
