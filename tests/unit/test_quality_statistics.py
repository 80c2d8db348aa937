"""What the statistics of tables on disk tell a gate: which numbers, and which keys lie close together."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contracts import Column, Rule
from lakehouse.delta import Statistics, statistics
from lakehouse.quality import statistics as module
from lakehouse.quality.known import Known
from lakehouse.quality.measure import measure
from lakehouse.quality.statistics import with_statistics
from tests.unit.test_quality_measure import contract

UNIQUE = Rule("id_unique", "unique", ("id",))


@pytest.fixture(autouse=True)
def no_span_is_nothing(monkeypatch):
    monkeypatch.setattr(module, "NEAR", 0)


def table(path, *files, kind=None):
    for values in files:
        rows = pa.table({"id": pa.array(values, kind or pa.int64()), "other": [1] * len(values)})
        write_deltalake(path, rows, mode="append")
    return str(path)


def known(path, rule, kind="BIGINT"):
    columns = (Column("id", kind), Column("other", "BIGINT"))
    return with_statistics(Known(), replace(contract(rule), columns=columns), statistics(path))


@pytest.mark.parametrize(
    ("files", "close"),
    [
        ([[1, 2], [3, 4]], True),
        ([[-3, -2], [0, 25]], True),
        ([[1, 2], [3, 4 * 8]], True),
        ([[1, 2], [3, 4 * 8 + 1]], False),
        ([[7]], True),
    ],
)
def test_close_together(tmp_path, files, close):
    assert known(table(tmp_path / "t", *files), UNIQUE).dense == ({"id_unique"} if close else set())


@pytest.mark.parametrize(("last", "close"), [(100, True), (101, False)])
def test_a_few_may_lie_apart_as_far_as_costs_nothing(tmp_path, monkeypatch, last, close):
    monkeypatch.setattr(module, "NEAR", 100)
    assert bool(known(table(tmp_path / "t", [1, last]), UNIQUE).dense) is close


def test_what_needs_a_count_or_has_no_bits(tmp_path):
    path = table(tmp_path / "t", [1, 2, 3, 4])
    assert not known(path, Rule("id_unique", "unique", ("id",), params={"mustBeLessThan": 3, "unit": "rows"})).dense
    assert not known(path, Rule("id_unique", "unique", ("id", "other"))).dense
    assert not known(path, UNIQUE, "DECIMAL(18,0)").dense


def test_a_span_is_known_only_where_every_file_tells(tmp_path):
    found = statistics(table(tmp_path / "t", [5, 7], [None, 9], [None]))
    assert (found.rows, found.nulls("id"), found.span("id")) == (5, 2, (5, 9))
    assert statistics(table(tmp_path / "nulls", [None, None])).span("id") is None
    assert statistics(str(tmp_path / "nothing")) is None
    assert (found.nulls("no_such"), found.span("no_such")) == (None, None)


def test_a_file_without_statistics_leaves_all_to_the_rows(tmp_path):
    path = tmp_path / "t"
    rows = pa.table({"other": pa.array([1], pa.int64()), "id": pa.array([None], pa.int64())})
    write_deltalake(path, rows, configuration={"delta.dataSkippingNumIndexedCols": "1"})
    found = statistics(str(path))
    assert (found.nulls("other"), found.nulls("id"), found.span("id")) == (0, None, None)


def test_text_times_and_long_decimals_are_not_told(tmp_path):
    for number, (values, kind) in enumerate(
        [
            (["a", "b"], pa.string()),
            ([0, 1], pa.timestamp("us", tz="UTC")),
            ([0.5, float("nan")], pa.float64()),
            ([Decimal("1.00"), Decimal("99999999999999.99")], pa.decimal128(18, 2)),
        ]
    ):
        assert statistics(table(tmp_path / str(number), values, kind=kind)).span("id") is None
    ends = [Decimal("-9999999999999.99"), Decimal("9999999999999.99")]
    assert statistics(table(tmp_path / "d", ends, kind=pa.decimal128(18, 2))).span("id") == tuple(ends)
    ends = [-(2**63), 2**63 - 1]
    assert statistics(table(tmp_path / "i", ends)).span("id") == tuple(ends)


NOT_NULL = Rule("id_not_null", "not_null", ("id",), predicate="`id` IS NOT NULL")


def test_nulls_are_counted(tmp_path):
    rows = known(table(tmp_path / "t", [1, None], [None]), NOT_NULL)
    assert rows.counted == {"id_not_null": 2}
    assert measure(contract(NOT_NULL), NOT_NULL, str, rows) == "2"
    share = replace(NOT_NULL, params={"mustBeLessThan": 5, "unit": "percent"})
    assert measure(contract(share), share, str, rows) == "array(CAST(2 AS DOUBLE), CAST(count(1) AS DOUBLE))"


@pytest.mark.parametrize(
    ("kind", "arrow", "values", "bounds", "told"),
    [
        ("INT", pa.int32(), [1, 100], {"minimum": 1, "maximum": 100}, True),
        ("INT", pa.int32(), [1, 100], {"exclusiveMinimum": 1}, False),
        ("INT", pa.int32(), [1, 100], {"exclusiveMaximum": 100}, False),
        ("INT", pa.int32(), [1, 100], {"minimum": 0.5}, False),
        ("INT", pa.int32(), [0, 100], {"minimum": 1}, False),
        ("INT", pa.int32(), [1, 101], {"maximum": 100}, False),
        ("DECIMAL(9,2)", pa.decimal128(9, 2), [Decimal("0.01")], {"minimum": 0.01}, True),
        ("DECIMAL(9,2)", pa.decimal128(9, 2), [Decimal("0.01")], {"minimum": 0.001}, False),
        ("DATE", pa.date32(), [date(2020, 1, 1), None], {"minimum": "2020-01-01"}, True),
        ("DATE", pa.date32(), [date(2020, 1, 1), None], {"minimum": "2020"}, False),
        ("DOUBLE", pa.float64(), [1.0], {"minimum": 0}, False),
    ],
)
def test_a_range_is_told_where_all_of_it_is_good(tmp_path, kind, arrow, values, bounds, told):
    rule = Rule("id_in_range", "range", ("id",), predicate="…", params=bounds)
    assert known(table(tmp_path / "t", values, kind=arrow), rule, kind).counted == ({rule.name: 0} if told else {})


@given(
    files=st.lists(st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=4), min_size=1, max_size=4),
    low=st.integers(-6, 6),
    high=st.integers(-6, 6),
)
def test_what_is_told_is_so(tmp_path_factory, files, low, high):
    rule = Rule("id_in_range", "range", ("id",), predicate="…", params={"minimum": low, "exclusiveMaximum": high})
    path = table(tmp_path_factory.mktemp("t") / "t", *files)
    told = known(path, rule).counted
    values = [value for file in files for value in file]
    bad = sum(value is not None and not low <= value < high for value in values)
    assert told in ({}, {rule.name: bad})
    if not bad and any(value is not None for value in values):
        assert told == {rule.name: 0}
    assert known(path, NOT_NULL).counted == {NOT_NULL.name: values.count(None)}


def test_of_days_beyond_the_calendar_nothing_is_told():
    days = pa.array([-719_163, 4_000_000], pa.int32()).cast(pa.date32())
    bounds = pa.StructArray.from_arrays([days], ["id"])
    files = {"num_records": [1, 1], "null_count": [{"id": 0}] * 2, "min": bounds, "max": bounds}
    assert Statistics(pa.table(files)).span("id") is None
