"""What a branch's log tells of its files once their footers were read: what holds of every row, and no more."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.delta import (
    BranchRefused,
    ColumnSpec,
    TableSpec,
    diff,
    footers,
    latest_version,
    open_branch,
    statistics,
    store,
    tell,
)
from lakehouse.delta.replay import active_files
from tests.deltas import work

KINDS = {
    "n": ("BIGINT", pa.int64()),
    "small": ("TINYINT", pa.int8()),
    "day": ("DATE", pa.date32()),
    "at": ("TIMESTAMP", pa.timestamp("us", "UTC")),
    "price": ("DECIMAL(18,2)", pa.decimal128(18, 2)),
    "wide": ("DECIMAL(38,10)", pa.decimal128(38, 10)),
    "real": ("DOUBLE", pa.float64()),
    "te`xt": ("STRING", pa.string()),
    "silent": ("BIGINT", pa.int64()),
}


def branch_of(folder, *files, groups=2, kinds=KINDS):
    """A branch with a Parquet file for each of `files`, dicts of columns, without statistics in its log."""
    columns = tuple(ColumnSpec(name, kind) for name, (kind, _) in kinds.items())
    named = ",".join("`" + name.replace("`", "``") + "`" for name in kinds if name != "silent")
    spec = TableSpec(columns, properties={"delta.dataSkippingStatsColumns": named})
    branch = open_branch(str(folder / "t"), str(folder / "t" / "_branch" / "b" / "1"), spec, "append")
    for number, values in enumerate(files):
        count = len(next(iter(values.values())))
        arrays = {name: pa.array(values.get(name, [None] * count), kind) for name, (_, kind) in kinds.items()}
        buffer = io.BytesIO()
        pq.write_table(pa.table(arrays), buffer, row_group_size=groups, store_decimal_as_integer=bool(number % 2))
        store.replace(f"{branch.path}/part {number}.parquet", buffer.getvalue())
        told = {"path": f"part%20{number}.parquet", "partitionValues": {}, "size": buffer.tell()}
        work(branch, {"add": {**told, "modificationTime": 1, "dataChange": True}})
    return branch


def told(branch):
    """The statistics of each file."""
    files = active_files(branch.path, latest_version(branch.path))
    return [json.loads(file["stats"], parse_float=Decimal) for file in sorted(files, key=lambda file: file["path"])]


def test_bounds_and_nulls_of_each_kind(tmp_path):
    wide = Decimal("1234567890123456789012345678.0123456789")
    values = {
        "n": [-(2**63), None, 2**63 - 1],
        "small": [1, 2, -3],
        "day": [date(1, 1, 1), date(2020, 2, 29), None],
        "at": [datetime(2020, 1, 1, 12, 0, 0, 123999, UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), None],
        "price": [Decimal("0.10"), Decimal("-99.99"), None],
        "wide": [wide, -wide, None],
        "real": [0.5, None, float("inf")],
        "te`xt": ["a", "é" * 33, "b" * 40],
        "silent": [1, 2, 3],
    }
    branch = branch_of(tmp_path, values, values)
    tell(branch)
    one, other = told(branch)
    assert one == other
    assert one["numRecords"] == 3
    assert one["minValues"] == {
        "n": -(2**63),
        "small": -3,
        "day": "0001-01-01",
        "at": "1969-12-31T23:59:59.999Z",
        "price": Decimal("-99.99"),
        "wide": -wide,
        "te`xt": "a",
    }
    assert one["maxValues"] == {
        "n": 2**63 - 1,
        "small": 2,
        "day": "2020-02-29",
        "at": "2020-01-01T12:00:00.123Z",
        "price": Decimal("0.10"),
        "wide": wide,
        "te`xt": "é" * 32 + "\U0010ffff",
    }
    nulls = {"n": 1, "small": 0, "day": 1, "at": 1, "price": 1, "wide": 1, "real": 1, "te`xt": 0}
    assert one["nullCount"] == nulls


def test_what_is_told_is_what_the_gate_asks(tmp_path):
    branch = branch_of(tmp_path, {"n": [1, 5, None], "price": [Decimal("0.50"), None, None]}, {"n": [None]}, {"n": [9]})
    assert statistics(branch.path).rows is None
    before = diff(branch).fingerprint
    tell(branch)
    found = statistics(branch.path)
    assert (found.rows, found.nulls("n"), found.span("n")) == (5, 2, (1, 9))
    assert (found.span("price"), found.nulls("silent")) == ((Decimal("0.50"), Decimal("0.50")), None)
    change = diff(branch)
    assert (change.fingerprint, change.rows_added, change.files_added) == (before, 5, 3)
    assert all(action["add"]["dataChange"] for action in change.actions if "add" in action)
    version = latest_version(branch.path)
    tell(branch)
    assert latest_version(branch.path) == version


def test_a_footer_without_statistics_tells_rows_alone(tmp_path, monkeypatch):
    write = pq.write_table
    monkeypatch.setattr(pq, "write_table", lambda *args, **options: write(*args, write_statistics=False, **options))
    branch = branch_of(tmp_path, {"n": [1, 2]})
    tell(branch)
    assert told(branch) == [{"numRecords": 2, "minValues": {}, "maxValues": {}, "nullCount": {}}]


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        ({"n": pa.array([1, 2], pa.uint64())}, {}),
        ({"at": pa.array([1, 2], pa.timestamp("ms", "UTC"))}, {"coerce_timestamps": "ms"}),
        ({"at": pa.array([1, 2], pa.timestamp("us", "UTC"))}, {"use_deprecated_int96_timestamps": True}),
        ({"price": pa.array([Decimal("1.123")], pa.decimal128(18, 3))}, {}),
        ({"te`xt": pa.array([b"a"], pa.binary())}, {}),
        ({"te`xt": pa.array([["a"]], pa.list_(pa.string()))}, {}),
        ({"day": pa.array([date(1500, 1, 1)])}, {"legacy": True}),
    ],
    ids=["unsigned", "milliseconds", "int96", "scale", "bytes", "list", "calendar"],
)
def test_what_is_written_otherwise_has_no_bounds(tmp_path, columns, options):
    branch = branch_of(tmp_path)
    rows = pa.table(columns)
    if options.pop("legacy", False):
        rows = rows.replace_schema_metadata({"org.apache.spark.legacyDateTime": ""})
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, **options)
    store.replace(f"{branch.path}/one.parquet", buffer.getvalue())
    file = {"path": "one.parquet", "partitionValues": {}, "size": buffer.tell()}
    work(branch, {"add": {**file, "modificationTime": 1, "dataChange": True}})
    assert tell(branch) == rows.num_rows
    (stats,) = told(branch)
    assert not stats["minValues"] and not stats["maxValues"]


def test_what_is_inside_of_a_column_is_not_taken_for_one(tmp_path):
    """Both are called a.b in Parquet; the file is older than the column."""
    kinds = {"a": ("STRUCT<b: BIGINT>", None), "a.b": ("BIGINT", None)}
    branch = branch_of(tmp_path, kinds=kinds)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [{"b": 1}]}), buffer)
    store.replace(f"{branch.path}/one.parquet", buffer.getvalue())
    file = {"path": "one.parquet", "partitionValues": {}, "size": buffer.tell()}
    work(branch, {"add": {**file, "modificationTime": 1, "dataChange": True}})
    tell(branch)
    assert told(branch) == [{"numRecords": 1, "minValues": {}, "maxValues": {}, "nullCount": {}}]


def test_a_file_without_rows_is_taken_off_the_branch(tmp_path):
    branch = branch_of(tmp_path, {"n": []}, {"n": [3]})
    assert tell(branch) == 1
    assert [stats["numRecords"] for stats in told(branch)] == [1]
    change = diff(branch)
    assert (change.files_added, change.files_removed, change.rows_added) == (1, 0, 1)
    # The statement that wrote the rows is what a publish tells in its history.
    assert change.statement.get("operation") != "COMPUTE STATS"


def test_another_worker_on_the_branch_is_refused(tmp_path, monkeypatch):
    branch = branch_of(tmp_path, {"n": [1]})
    monkeypatch.setattr(footers, "latest_version", lambda path: latest_version(path) - 1)
    monkeypatch.setattr(footers, "active_files", lambda path, _: active_files(path, latest_version(path)))
    with pytest.raises(BranchRefused, match="Somebody else"):
        tell(branch)


@given(
    files=st.lists(
        st.lists(
            st.fixed_dictionaries(
                {
                    "n": st.none() | st.integers(-(2**63), 2**63 - 1),
                    "day": st.none() | st.dates(),
                    "at": st.none() | st.datetimes(timezones=st.just(UTC)),
                    "wide": st.none() | st.decimals(-(10**27), 10**27, places=10),
                    "te`xt": st.none() | st.text(max_size=40),
                }
            ),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_every_row_lies_within_what_is_told(tmp_path_factory, files):
    """Times within the millisecond that Delta's readers add."""
    columns = [{name: [row[name] for row in rows] for name in rows[0]} for rows in files]
    branch = branch_of(tmp_path_factory.mktemp("t"), *columns)
    tell(branch)
    for stats, values in zip(told(branch), columns, strict=True):
        for name, column in values.items():
            some = [value for value in column if value is not None]
            assert stats["nullCount"][name] == len(column) - len(some)
            if not some:
                assert name not in stats["minValues"]
            elif name == "te`xt":
                low, high = stats["minValues"].get(name, ""), stats["maxValues"].get(name, "\U0010ffff" * 40)
                assert all(low.encode() <= value.encode() <= high.encode() for value in some)
            elif name in ("at", "day"):
                low, high = (stats[kind][name].rstrip("Z") for kind in ("minValues", "maxValues"))
                cut = [(v if name == "day" else v.replace(tzinfo=None)) for v in some]
                shown = [v.isoformat(*(() if name == "day" else ("T", "milliseconds"))) for v in cut]
                assert (low, high) == (min(shown), max(shown))
            else:
                assert (stats["minValues"][name], stats["maxValues"][name]) == (min(some), max(some))
