"""Which windows a run of a bronze table loads (ING-1)."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.contracts.model import Source
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered
from lakehouse.ledger.windows import Window, subtract
from lakehouse.pipeline.batch import Run


def due_windows(source: Source, run: Run, events: Sequence[Event]) -> tuple[Window, ...]:
    """The windows `run` loads.

    A run that already started a load of this table (a retry, or a cleared run) loads the same windows again. A
    backfill run loads exactly its interval. Any other loads every uncovered window up to its end; a scheduled run
    whose interval is covered already (by a manual run, which may have read it before it was over) reads it again:
    rows that are known are not loaded twice.
    """
    started = [e for e in events if e.event == "started" and e.run_id == run.run_id]
    if started:
        return started[0].windows
    own = (Window(run.start, run.end),) if run.start and run.start < run.end else ()
    if run.kind == "backfill":
        return own
    if run.end <= source.initial_value:
        return own
    return tuple(subtract(Window(source.initial_value, run.end), covered(events))) or own
