"""Which windows and deliveries a run of a bronze table loads (ING-1)."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.contracts.model import Source
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered, delivered, skipped
from lakehouse.ledger.windows import Window, difference, subtract
from lakehouse.pipeline.batch import Run


def due_windows(source: Source, run: Run, events: Sequence[Event]) -> tuple[Window, ...]:
    """The windows `run` loads.

    A run that already started a load of this table (a retry, or a cleared run) loads the same windows again. A
    backfill run loads exactly its interval. Any other loads every uncovered window up to its end; a scheduled run
    whose interval is covered already (by a manual run, which may have read it before it was over) reads it again:
    rows that are known are not loaded twice. What somebody skipped only a backfill loads.
    """
    started = [e for e in events if e.event == "started" and e.run_id == run.run_id]
    if started:
        return started[0].windows
    own = (Window(run.start, run.end),) if run.start and run.start < run.end else ()
    if run.kind == "backfill":
        return own
    if run.end <= source.initial_value:
        return own
    due = subtract(Window(source.initial_value, run.end), covered(events))
    return tuple(due or difference(own, skipped(events)))


def due_deliveries(there: Sequence[str], events: Sequence[Event], batch_id: str) -> tuple[str, ...]:
    """What a new load of `batch_id` takes of the deliveries that are there: each that was never loaded, and what this
    very batch loaded before (a cleared run loads its own again)."""
    done = delivered(events)
    own = delivered([event for event in events if event.batch_id == batch_id])
    return tuple(name for name in there if name not in done or name in own)
