"""The one reader of the wall clock, and of days as people type them. Transforms never call it (MOD-4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakehouse.errors import LakehouseError


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def moment(text: str, option: str, last: bool = False) -> datetime:
    """`text`, a day (`last`: its end) or a moment, in UTC. Raises LakehouseError naming the option."""
    try:
        value = datetime.fromisoformat(text)
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        # A day in either spelling of ISO 8601: 2025-10-01, 20251001, 2025-W40-3.
        return value + timedelta(days=1) if last and not set(text) & set("T :") else value
    except (ValueError, OverflowError):
        raise LakehouseError(f"--{option} '{text}' is no date.", "Write YYYY-MM-DD or 2025-10-01T06:00:00.") from None
