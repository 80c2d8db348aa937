"""Watermarks as the text that stores keep: ISO 8601, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime

from lakehouse.clock import in_utc


def write(value: datetime) -> str:
    """`value` as text; texts compare as moments do."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def read(text: str | None) -> datetime | None:
    """The moment that `text` tells, without a zone in UTC; None where it tells none, as when a hand has been at it."""
    try:
        return in_utc(text)
    except ValueError:
        return None
