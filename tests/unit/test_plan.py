"""Which windows a run loads (ING-1): scheduled, by hand, backfill, retried, cleared."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contracts.model import Source
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered, next_load, watermark
from lakehouse.ledger.windows import Window, merge
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.plan import due_windows

DAY = timedelta(days=1)
START = datetime(2025, 9, 1, tzinfo=UTC)
SOURCE = Source("snowflake_default", "snowflake", "S.P.T", "updated_at", START, timedelta(hours=6), DAY * 99, "key")


def day(n: int) -> datetime:
    return START + n * DAY


def scheduled(n: int) -> Run:
    return Run(f"scheduled-{n}", "scheduled", end=day(n + 1), start=day(n))


def event(name: str, run: Run, *windows: Window, batch: str = "b", load: int = 1) -> Event:
    return Event(name, "bronze.t", batch, load, "a", run.run_id, run.kind, windows=windows)  # type: ignore[arg-type]


def test_first_scheduled_run_loads_everything_since_the_initial_value() -> None:
    assert due_windows(SOURCE, scheduled(30), []) == (Window(START, day(31)),)


def test_scheduled_run_fills_gaps_up_to_its_end() -> None:
    events = [
        event("published", scheduled(0), Window(day(0), day(1))),
        event("published", scheduled(2), Window(day(2), day(3))),
    ]
    assert due_windows(SOURCE, scheduled(3), events) == (Window(day(1), day(2)), Window(day(3), day(4)))


def test_run_by_hand_loads_from_the_watermark_to_run_after() -> None:
    events = [event("published", scheduled(0), Window(day(0), day(3)))]
    by_hand = Run("manual", "manual", end=day(3) + timedelta(hours=7))
    assert due_windows(SOURCE, by_hand, events) == (Window(day(3), day(3) + timedelta(hours=7)),)


def test_run_by_hand_with_nothing_new_is_due_nothing() -> None:
    events = [event("published", scheduled(0), Window(day(0), day(3)))]
    assert due_windows(SOURCE, Run("manual", "manual", end=day(2)), events) == ()


def test_scheduled_run_after_a_run_by_hand_read_past_it_reads_its_own_interval() -> None:
    events = [event("published", Run("m", "manual", end=day(9)), Window(day(0), day(9)))]
    assert due_windows(SOURCE, scheduled(4), events) == (Window(day(4), day(5)),)


def test_backfill_loads_exactly_its_interval_whatever_is_covered() -> None:
    run = Run("backfill", "backfill", end=day(3), start=day(2))
    events = [event("published", scheduled(0), Window(day(0), day(9)))]
    assert due_windows(SOURCE, run, events) == (Window(day(2), day(3)),)


def test_retry_and_clear_reuse_the_windows_on_record() -> None:
    run = scheduled(5)
    events = [event("started", run, Window(day(1), day(6))), event("published", run, Window(day(1), day(6)))]
    assert due_windows(SOURCE, run, events) == (Window(day(1), day(6)),)


def test_load_number_rises_only_with_a_publish() -> None:
    run = scheduled(0)
    started = event("started", run, batch="x")
    assert next_load([started, started], "x") == 1
    assert next_load([started, event("published", run, batch="x")], "x") == 2
    assert next_load([event("published", run, batch="y")], "x") == 1


@given(st.lists(st.tuples(st.sampled_from(["scheduled", "backfill", "manual"]), st.integers(0, 12)), max_size=12))
def test_any_order_of_runs_covers_without_a_hole_below_the_watermark(order: list[tuple[str, int]]) -> None:
    events: list[Event] = []
    for number, (kind, n) in enumerate(order):
        start = None if kind == "manual" else day(n)
        run = Run(f"{kind}-{number}", kind, end=day(n + 1), start=start)  # type: ignore[arg-type]
        before = watermark(events, START)
        events.append(event("published", run, *due_windows(SOURCE, run, events), batch=str(number)))
        after = watermark(events, START)
        assert after >= before  # ING-4: never back
        if kind != "backfill":
            assert after >= run.end
    assert merge(covered(events)) == covered(events)
