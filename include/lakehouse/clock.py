"""The one reader of the wall clock, and of days as people type them. Transforms never call it (MOD-4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakehouse.errors import LakehouseError


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def in_utc(value: object) -> datetime:
    """2025-09-01 or 2025-09-01T00:00:00Z, or a datetime, as aware datetime in UTC: its own where it has no zone.

    Raises ValueError.
    """
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value} is beyond the calendar in UTC") from None


def moment(text: str, option: str, last: bool = False) -> datetime:
    """`text`, a day (`last`: its end) or a moment, in UTC. Raises LakehouseError naming the option."""
    try:
        value = in_utc(text)
        # A day in either spelling of ISO 8601: 2025-10-01, 20251001, 2025-W40-3.
        return value + timedelta(days=1) if last and not set(text) & set("T :") else value
    except (ValueError, OverflowError):
        raise LakehouseError(f"--{option} '{text}' is no date.", "Write YYYY-MM-DD or 2025-10-01T06:00:00.") from None
