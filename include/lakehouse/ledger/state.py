"""What the events of one table add up to: coverage, watermark, the last publish, loads left open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from lakehouse.ledger.events import Event
from lakehouse.ledger.windows import Window, covered_prefix, merge


def covered(events: Sequence[Event]) -> list[Window]:
    """Windows whose loads were published, an empty load included."""
    return merge(window for event in events if event.event == "published" for window in event.windows)


def watermark(events: Sequence[Event], initial: datetime) -> datetime:
    """End of the contiguous prefix of coverage from `initial`."""
    return covered_prefix(initial, covered(events))


def delivered(events: Sequence[Event]) -> set[str]:
    """Names of the deliveries that were loaded."""
    return {name for event in events if event.event == "published" for name in event.deliveries}


def last_published(events: Sequence[Event]) -> Event | None:
    """The newest publish, an empty one included."""
    published = [event for event in events if event.event == "published"]
    return published[-1] if published else None


def next_load(events: Sequence[Event], batch_id: str) -> int:
    """Number of the load that a new attempt at `batch_id` is: an unpublished load's number is used again."""
    return 1 + sum(1 for event in events if event.event == "published" and event.batch_id == batch_id)


def open_loads(events: Sequence[Event]) -> list[Event]:
    """Started loads with no end on record: running, or killed before they could say how they ended."""
    ended = {(e.batch_id, e.load) for e in events if e.event == "published"}
    latest = {(e.batch_id, e.load): e for e in events if e.event == "started"}
    return [event for key, event in latest.items() if key not in ended]
