"""What is usual: from the numbers of earlier gates and the ledger, on disk, without an engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lakehouse import paths
from lakehouse.contracts import Rule
from lakehouse.ledger import Event, Window
from lakehouse.quality import GateResult, RuleResult, record
from lakehouse.quality.history import usual

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
VOLUME = Rule("volume", "row_count", (), params={"mustBeBetween": [50, 200], "compared_with_runs": 4})
AVERAGE = Rule("average", "sql", (), params={"query": "", "mustBeBetween": [50, 200], "compared_with_runs": 4})


@pytest.fixture(autouse=True)
def lake(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "lake", lambda: str(tmp_path / "lake"))


def gated(batch, value, rule="volume", at=T0):
    found = RuleResult(rule, "row_count", "critical", True, None, "", "", value=value)
    record(GateResult("bronze.parcels", batch, f"run {batch}", True, (found,), 0.1), checked_ts=at)


def published(batch, days=1, kind="scheduled", start=0, windowed=True):
    window = Window(T0 + start * DAY, T0 + (start + days) * DAY)
    windows = (window,) if windowed else ()
    return Event("published", "bronze.parcels", batch, 1, "a", f"run {batch}", kind, windows)


def of(events, days=1, kind="scheduled", rules=(VOLUME,), windowed=True):
    windows = (Window(T0 + 50 * DAY, T0 + (50 + days) * DAY),) if windowed else ()
    return usual("bronze.parcels", rules, windows, kind, events)


def test_the_median_of_enough_earlier_runs():
    events = []
    for number, rows in enumerate((10, 30, 20)):
        silent = of(events)[1]
        assert silent == {"volume": f"{number} of 3 earlier runs to compare with"}
        gated(f"b{number}", rows)
        events.append(published(f"b{number}", start=number))
    assert of(events) == ({"volume": 20.0}, {})


def test_only_the_latest_of_them_count():
    events = []
    for number, rows in enumerate((900, 900, 10, 20, 30, 40)):
        gated(f"b{number}", rows)
        events.append(published(f"b{number}", start=number))
    assert of(events)[0] == {"volume": 25.0}


def test_rows_of_windows_are_taken_by_their_length():
    """A first load of a month and a load of three days at once are no measure of a day as they stand."""
    events = []
    for number, (rows, days) in enumerate(((3000, 30), (100, 1), (330, 3))):
        gated(f"b{number}", rows)
        events.append(published(f"b{number}", days, start=number * 40))
    assert of(events)[0] == {"volume": 100.0}
    assert of(events, days=2)[0] == {"volume": 200.0}


def test_a_number_that_is_no_count_is_taken_as_it_is():
    events = [published(f"b{number}", days=5) for number in range(3)]
    for number in range(3):
        gated(f"b{number}", 50.0, "average")
    assert of(events, rules=(AVERAGE,))[0] == {"average": 50.0}


def test_what_was_held_or_made_by_hand_is_no_measure():
    for number in range(6):
        gated(f"b{number}", 100.0)
    events = [published("b0"), published("b1", kind="backfill"), published("b2", kind="replay"), published("b3")]
    assert of(events)[1] == {"volume": "2 of 3 earlier runs to compare with"}
    assert of([*events, published("b4")])[0] == {"volume": 100.0}


def test_a_backfill_is_not_compared():
    events = [published(f"b{number}") for number in range(3)]
    for number in range(3):
        gated(f"b{number}", 100.0)
    assert of(events, kind="backfill") == ({}, {"volume": "a backfill is as large as it was made"})


def test_the_last_audit_of_a_batch_is_the_one_that_counts():
    for number in range(3):
        gated(f"b{number}", 5.0, at=T0 + DAY)
        gated(f"b{number}", 999.0)
    assert of([published(f"b{number}") for number in range(3)])[0] == {"volume": 5.0}


def test_nothing_is_no_measure():
    for number in range(3):
        gated(f"b{number}", 0.0)
    assert of([published(f"b{number}") for number in range(3)])[1] == {"volume": "nothing is usual"}


def test_tables_without_windows():
    for number in range(3):
        gated(f"b{number}", 40.0 + number)
    events = [published(f"b{number}", windowed=False) for number in range(3)]
    assert of(events, windowed=False)[0] == {"volume": 41.0}


def test_rules_that_are_not_compared_ask_nothing(monkeypatch):
    monkeypatch.setattr(paths, "ops", lambda name: pytest.fail("ops.quality was read"))
    assert of([], rules=(Rule("few", "row_count", (), params={"mustBeGreaterThan": 0}),)) == ({}, {})
