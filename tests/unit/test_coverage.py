"""What the ledger adds up to after loads, skips and reopenings, against a model: sets of hours (ING-1, ING-4)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.cli.intervals import told
from lakehouse.contracts.model import Source
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered, delivered, next_load, skipped, was_reopened, watermark
from lakehouse.ledger.windows import Window, subtract
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.plan import due_deliveries, due_windows

T0 = datetime(2025, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCE = Source("snowflake_default", "snowflake", "S.P.T", "updated_at", T0, HOUR, HOUR, "key")
hours = st.integers(0, 24)


def at(n: int) -> datetime:
    return T0 + n * HOUR


def window(low: int, high: int) -> Window:
    return Window(at(low), at(high))


def event(name: str, *windows: Window, batch: str = "b", **more: object) -> Event:
    return Event(name, "bronze.t", batch, 1, "a", "r", "scheduled", windows=windows, **more)  # type: ignore[arg-type]


def points(some: list[Window]) -> set[int]:
    """The hours n that windows cover, each standing for (n, n + 1]."""
    return {n for w in some for n in range(24) if w.low <= at(n) and at(n + 1) <= w.high}


spans = st.tuples(hours, hours).map(lambda pair: (min(pair), max(pair)))
#: ("load", span): begun and published. ("begin", span): published by a later ("end", _). ("set", hour).
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["load", "begin", "end"]), spans),
        st.tuples(st.just("set"), hours),
    ),
    max_size=14,
)


def played(order: list[tuple[str, object]]) -> tuple[list[Event], set[int], set[int]]:
    """The events of `order`, the hours covered by loads or skips, and those by skips alone, as the model has it."""
    events: list[Event] = []
    #: batch -> hours that it will cover when it is published.
    running: dict[str, set[int]] = {}
    loaded: set[int] = set()
    skips: set[int] = set()
    for number, (what, value) in enumerate(order):
        batch = str(number)
        if what in ("load", "begin"):
            low, high = value  # type: ignore[misc]
            events.append(event("started", window(low, high), batch=batch))
            running[batch] = set(range(low, high))
        if what == "load" or (what == "end" and running):
            batch = batch if what == "load" else next(iter(running))
            began = next(e for e in events if e.batch_id == batch)
            events.append(replace(began, event="published"))
            loaded |= running.pop(batch)
        if what == "set":
            stands, goal = watermark(events, T0), at(value)  # type: ignore[arg-type]
            if goal > stands:
                gaps = subtract(Window(T0, goal), covered(events))
                events.append(event("skipped", *gaps))
                skips |= points(gaps)
            elif covered(events):
                events.append(event("reopened", Window(goal, max(w.high for w in covered(events)))))
                gone = points([events[-1].windows[0]])
                loaded, skips = loaded - gone, skips - gone
                running = {name: hours - gone for name, hours in running.items()}
    return events, loaded | skips, skips - loaded


@given(steps)
def test_coverage_is_what_was_loaded_or_skipped_and_not_reopened_since(order: list[tuple[str, object]]) -> None:
    events, whole, by_hand = played(order)
    assert points(covered(events)) == whole
    assert points(skipped(events)) == by_hand
    mark = watermark(events, T0)
    reached = int((mark - T0) / HOUR)
    assert set(range(reached)) <= whole
    assert reached not in whole


@given(steps, hours)
def test_the_next_run_loads_exactly_what_is_not_covered(order: list[tuple[str, object]], end: int) -> None:
    events, whole, by_hand = played(order)
    due = due_windows(SOURCE, Run("next", "scheduled", end=at(end), start=at(end) - HOUR), events)
    missing = set(range(end)) - whole
    # Nothing missing: its own hour once more, unless somebody skipped it.
    assert points(list(due)) == (missing or {end - 1} & set(range(24)) - by_hand)


@given(steps)
def test_going_back_is_known_as_such(order: list[tuple[str, object]]) -> None:
    """ING-4: between two events a watermark only goes back where windows were reopened."""
    events, _, _ = played(order)
    for count in range(1, len(events) + 1):
        before, after = watermark(events[: count - 1], T0), watermark(events[:count], T0)
        assert after >= before or was_reopened(events[:count], before, T0)


@given(steps)
def test_intervals_tell_each_hour_once(order: list[tuple[str, object]]) -> None:
    events, whole, by_hand = played(order)
    rows = {state: [] for state in ("covered", "skipped", "gap", "open")}  # type: ignore[var-annotated]
    for row in told(events, T0):
        rows[row["state"]].append(Window(datetime.fromisoformat(row["low"]), datetime.fromisoformat(row["high"])))
    assert points(rows["covered"]) == whole - by_hand
    assert points(rows["skipped"]) == by_hand
    assert not points(rows["gap"]) & whole


def test_a_load_that_began_before_its_window_was_reopened_does_not_cover_it() -> None:
    began = event("started", window(0, 4))
    reopened = event("reopened", window(2, 4))
    assert covered([began, reopened, replace(began, event="published")]) == [window(0, 2)]
    assert covered([reopened, began, replace(began, event="published")]) == [window(0, 4)]


def test_deliveries_of_reopened_windows_are_taken_again() -> None:
    loads = [event("published", window(n, n + 1), batch=str(n), deliveries=(f"file-{n}",)) for n in range(3)]
    events = [*loads, event("reopened", window(1, 3))]
    assert delivered(loads) == {"file-0", "file-1", "file-2"}
    assert delivered(events) == {"file-0"}
    assert due_deliveries(["file-0", "file-1", "file-2"], events, "new") == ("file-1", "file-2")


def test_a_skipped_interval_is_left_alone_by_scheduled_runs_and_loaded_by_a_backfill() -> None:
    events = [event("skipped", window(0, 5))]
    scheduled = Run("s", "scheduled", end=at(3), start=at(2))
    assert due_windows(SOURCE, scheduled, events) == ()
    assert due_windows(SOURCE, replace(scheduled, kind="backfill"), events) == (window(2, 3),)


def test_a_load_number_is_never_used_again() -> None:
    """The events of load 2 were lost; load 3 is in the table."""
    loads = [replace(event("published"), load=n) for n in (1, 3)]
    assert next_load(loads, "b") == 4


def test_a_watermark_that_came_over_a_gap_goes_back_to_it_when_it_is_one_again() -> None:
    """As an undo does it: nobody reopened the hours at which the watermark stands."""
    before = [event("published", window(0, 2), batch="1"), event("published", window(3, 5), batch="2")]
    filled = [*before, event("published", window(2, 3), batch="3")]
    undone = [*filled, event("reopened", window(2, 3))]
    assert [watermark(events, T0) for events in (before, filled, undone)] == [at(2), at(5), at(2)]
    assert was_reopened(undone, at(5), T0)
    # A copy that no load ever led to is no matter of reopening.
    assert not was_reopened(undone, at(6), T0)
    assert not was_reopened(filled, at(5), T0)
