"""What the events of one table add up to: coverage, watermark, deliveries, the last publish, loads left open.

A person may say that windows are skipped, or reopened. A load that began before its windows were reopened does not
cover them: it may have read the source too early.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from lakehouse.ledger.events import Event
from lakehouse.ledger.windows import Window, covered_prefix, difference, merge


def covered(events: Sequence[Event]) -> list[Window]:
    """Windows that were loaded and published, empty ones included, or skipped; without those reopened since."""
    found: list[Window] = []
    for event in _as_begun(events):
        reopened = event.event == "reopened"
        found = difference(found, event.windows) if reopened else merge([*found, *event.windows])
    return found


def skipped(events: Sequence[Event]) -> list[Window]:
    """Windows that are covered only because somebody said so."""
    return difference(covered(events), covered([event for event in events if event.event != "skipped"]))


def watermark(events: Sequence[Event], initial: datetime) -> datetime:
    """End of the contiguous prefix of coverage from `initial`."""
    return covered_prefix(initial, covered(events))


def was_reopened(events: Sequence[Event], moment: datetime, initial: datetime) -> bool:
    """Whether a watermark of `moment` may go back, since somebody reopened the windows that end there, or some below
    without which it would not have come to stand there."""
    windows = [w for event in events if event.event == "reopened" for w in event.windows]
    if any(window.low < moment <= window.high for window in windows):
        return True
    return bool(windows) and watermark([e for e in events if e.event != "reopened"], initial) >= moment


def delivered(events: Sequence[Event]) -> set[str]:
    """Names of the deliveries that were loaded, without those of windows reopened since."""
    loads: list[Event] = []
    for event in _as_begun(events):
        if event.event == "published":
            loads.append(event)
        elif event.event == "reopened":
            loads = [load for load in loads if difference(load.windows, event.windows) == merge(load.windows)]
    return {name for load in loads for name in load.deliveries}


def last_published(events: Sequence[Event]) -> Event | None:
    """The newest publish, an empty one included."""
    published = [event for event in events if event.event == "published"]
    return published[-1] if published else None


def next_load(events: Sequence[Event], batch_id: str) -> int:
    """Number of the load that a new attempt at `batch_id` is: an unpublished load's number is used again."""
    return 1 + max((e.load for e in events if e.event == "published" and e.batch_id == batch_id), default=0)


def open_loads(events: Sequence[Event]) -> list[Event]:
    """Started loads with no end on record: running, or killed before they could say how they ended."""
    ended = {(e.batch_id, e.load) for e in events if e.event == "published"}
    latest = {(e.batch_id, e.load): e for e in events if e.event == "started"}
    return [event for key, event in latest.items() if key not in ended]


def _as_begun(events: Sequence[Event]) -> Iterator[Event]:
    """The events that tell of coverage, each publish at the place where its load began."""
    began: dict[tuple[str, int], int] = {}
    for place, event in enumerate(events):
        if event.event == "started":
            began.setdefault((event.batch_id, event.load), place)
    told = [
        (began.get((event.batch_id, event.load), place) if event.event == "published" else place, event)
        for place, event in enumerate(events)
        if event.event in ("published", "skipped", "reopened")
    ]
    return (event for _, event in sorted(told, key=lambda pair: pair[0]))
