"""append_rows and read_rows: small tables, several processes."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime

import pytest

from lakehouse.delta import TypeUnknown, append_rows, latest_version, read_rows, schema_columns, table_stats

WRITERS, ROUNDS = 4, 10


def _rows(**columns):
    import pyarrow as pa

    return pa.table(columns)


def _write(path, writer, start):
    import deltalake  # noqa: F401 - loaded before the race, not in it

    _rows(n=[0])
    start.wait(60)
    for n in range(ROUNDS):
        append_rows(path, _rows(writer=[f"w{writer}"], n=[n]), partition_by=("writer",))


def test_racing_processes_lose_no_row(tmp_path):
    """Also the table's creation is raced for."""
    path = str(tmp_path / "ops" / "events")
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(WRITERS)
    processes = [context.Process(target=_write, args=(path, n, start)) for n in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [p.exitcode for p in processes] == [0] * WRITERS
    rows = sorted((r["writer"], r["n"]) for r in read_rows(path))
    assert rows == [(f"w{w}", n) for w in range(WRITERS) for n in range(ROUNDS)]
    assert latest_version(path) == WRITERS * ROUNDS
    assert len(read_rows(path, {"writer": "w2"})) == ROUNDS


def test_no_table_has_no_rows(tmp_path):
    assert read_rows(str(tmp_path / "none")) == []
    assert table_stats(str(tmp_path / "none")).version == -1


def test_new_columns_are_added_and_missing_ones_are_null(tmp_path):
    path = str(tmp_path / "t")
    append_rows(path, _rows(a=[1]))
    append_rows(path, _rows(a=[2], b=["x"]))
    append_rows(path, _rows(b=["y"]))
    assert sorted((str(r["a"]), str(r["b"])) for r in read_rows(path)) == [("1", "None"), ("2", "x"), ("None", "y")]
    assert (table_stats(path).rows, table_stats(path).files) == (3, 3)


def test_times_have_a_zone_and_the_protocol_stays(tmp_path):
    from deltalake import DeltaTable

    path = str(tmp_path / "t")
    with pytest.raises(TypeUnknown, match="'at'"):
        append_rows(path, _rows(at=[datetime(2026, 1, 1)]))
    append_rows(path, _rows(at=[datetime(2026, 1, 1, tzinfo=UTC)]))
    assert [(c.name, c.type) for c in schema_columns(path)] == [("at", "TIMESTAMP")]
    assert DeltaTable(path).protocol().min_reader_version == 1
