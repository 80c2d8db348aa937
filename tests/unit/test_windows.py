"""Window arithmetic (ING-1), against a model: sets of minutes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ledger.windows import Window, chunks, covered_prefix, merge, subtract, with_lookback

T0 = datetime(2025, 10, 1, tzinfo=UTC)
minutes = st.integers(0, 60)


def window(low: int, high: int) -> Window:
    return Window(T0 + timedelta(minutes=low), T0 + timedelta(minutes=high))


windows = st.lists(st.tuples(minutes, minutes).map(lambda pair: window(*pair)), max_size=8)


def points(some: list[Window]) -> set[int]:
    """The minutes m that the windows cover, each standing for the stretch (m, m + 1]."""
    return {
        m
        for w in some
        for m in range(61)
        if w.low <= T0 + timedelta(minutes=m) and T0 + timedelta(minutes=m + 1) <= w.high
    }


@given(windows)
def test_merge_keeps_coverage_and_leaves_no_touching_neighbours(some: list[Window]) -> None:
    merged = merge(some)
    assert points(merged) == points(some)
    assert all(a.high < b.low for a, b in pairwise(merged))


@given(windows, minutes, minutes)
def test_subtract_is_set_difference(taken: list[Window], low: int, high: int) -> None:
    whole = window(low, high)
    left = subtract(whole, taken)
    assert points(left) == points([whole]) - points(taken)
    assert all(w.low < w.high for w in left)


@given(windows, minutes)
def test_prefix_ends_at_the_first_gap(covered: list[Window], start: int) -> None:
    end = covered_prefix(T0 + timedelta(minutes=start), covered)
    reached = int((end - T0).total_seconds() // 60)
    held = points(covered)
    assert all(m in held for m in range(start, reached))
    assert reached not in held or reached < start


@given(minutes, minutes, st.integers(1, 25))
def test_chunks_tile_the_window(low: int, high: int, length: int) -> None:
    pieces = chunks(window(low, high), timedelta(minutes=length))
    assert points(merge(pieces)) == points([window(low, high)])
    assert all(a.high == b.low for a, b in pairwise(pieces))
    assert all(p.high - p.low <= timedelta(minutes=length) for p in pieces)


@given(windows, st.integers(0, 10))
def test_lookback_reaches_below_each_window(some: list[Window], back: int) -> None:
    asked = points(with_lookback(some, timedelta(minutes=back)))
    assert asked >= points(some)
    assert asked == points([Window(w.low - timedelta(minutes=back), w.high) for w in some])
