"""The four states of freshness, from Delta logs on disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse import paths
from lakehouse.contracts import Column
from lakehouse.contracts.sla import read_freshness
from lakehouse.freshness import freshness, promise
from tests.unit.test_quality_measure import contract

HOUR = timedelta(hours=1)
SLA = {"freshness": {"value": 26, "unit": "h", "element": "parcels.sent_at"}}


@pytest.fixture
def parcels(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "lake", lambda: str(tmp_path / "lake"))
    return replace(contract(), sla=SLA, columns=(Column("id", "BIGINT"), Column("sent_at", "TIMESTAMP")))


def put(now, *ages, mode="append"):
    """A version with one row for each age in hours; None for a row without time."""
    times = [None if age is None else now - age * HOUR for age in ages]
    rows = pa.table(
        {"id": pa.array(range(len(ages)), pa.int64()), "sent_at": pa.array(times, pa.timestamp("us", "UTC"))}
    )
    write_deltalake(paths.table("silver.parcels"), rows, mode=mode)


@pytest.fixture
def now():
    """Now, to the millisecond: statistics are no finer."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_fresh_is_within_the_promise(parcels, now):
    put(now, 30, 26)
    assert freshness(parcels, now) == ("fresh", now - 26 * HOUR, 26 * HOUR, 26 * HOUR)


def test_stale_is_beyond_it(parcels, now):
    put(now, 1)
    put(now, 50)
    found = freshness(parcels, now + 26 * HOUR)
    assert (found.state, found.age) == ("stale", 27 * HOUR)


def test_recovered_is_fresh_after_the_latest_data_ended_a_stale_time(parcels, now):
    put(now, 30)
    assert freshness(parcels, now).state == "stale"
    put(now, 2)
    assert freshness(parcels, now).state == "recovered"
    put(now, 1)
    assert freshness(parcels, now).state == "fresh"


def test_a_version_that_only_moves_rows_changes_nothing(parcels, now):
    put(now, 30)
    put(now, 2)
    table = DeltaTable(paths.table("silver.parcels"))
    table.optimize.compact()
    assert table.version() == 2
    assert freshness(parcels, now).state == "recovered"


def test_unknown_without_table_promise_or_time(parcels, now):
    assert freshness(parcels, now) == ("unknown", None, None, 26 * HOUR)
    put(now, None, None)
    assert freshness(parcels, now).state == "unknown"
    put(now, 1)
    assert freshness(parcels, now).state == "fresh"
    assert freshness(replace(parcels, sla={}), now) == ("unknown", None, None, None)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"value": 26, "unit": "h", "element": "parcels.no_such"}, "freshness of 'parcels.no_such'"),
        ({"value": 26, "unit": "furlongs", "element": "parcels.sent_at"}, "freshness '26 furlongs'"),
        ({"value": "26", "unit": "h", "element": "parcels.sent_at"}, "freshness '26 h'"),
        ({"value": 26, "unit": "h"}, "freshness of ''"),
        ({"value": 1, "unit": "days", "element": "sent_at"}, ""),
    ],
)
def test_a_promise_that_nobody_can_be_held_to_is_refused(parcels, said, told):
    found = []
    read_freshness({"freshness": said}, {"id", "sent_at"}, lambda what, remedy: found.append(what))
    assert found == ([told] if told else [])
    assert (promise(replace(parcels, sla={"freshness": said})) is None) is bool(told)


def test_units_as_the_standard_spells_them(parcels):
    said = {"value": 1, "unit": "days", "element": "sent_at"}
    assert promise(replace(parcels, sla={"freshness": said})) == ("sent_at", timedelta(days=1))


def test_a_date_is_as_old_as_its_end(parcels, now):
    days = pa.table({"id": pa.array([1], pa.int64()), "sent_at": pa.array([now.date()], pa.date32())})
    write_deltalake(paths.table("silver.parcels"), days)
    end = datetime(now.year, now.month, now.day, tzinfo=UTC) + 24 * HOUR
    assert freshness(parcels, end + 3 * HOUR)[:3] == ("fresh", end, 3 * HOUR)


def test_a_partition_column_tells_too(parcels, now):
    days = pa.table({"id": pa.array([1], pa.int64()), "sent_at": pa.array([now.date()], pa.date32())})
    write_deltalake(paths.table("silver.parcels"), days, partition_by=["sent_at"])
    assert freshness(parcels, now).state == "fresh"
