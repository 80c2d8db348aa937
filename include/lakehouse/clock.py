"""The one reader of the wall clock. Transforms never call it (MOD-4); ledger events and log lines do."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)
