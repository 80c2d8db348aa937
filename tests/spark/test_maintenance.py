"""Upkeep on a real server: fewer files, the same rows, nothing left to do the second time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from lakehouse import paths
from lakehouse.config import settings
from lakehouse.delta import ColumnSpec, TableSpec, append_rows, diff, fast_forward, latest_version, open_branch, store
from lakehouse.delta.log import read_commit
from lakehouse.maintenance import maintain, optimize, vacuum

NAME = "silver.lines"
SPEC = TableSpec(
    (ColumnSpec("id", "BIGINT"), ColumnSpec("v", "STRING"), ColumnSpec("day", "DATE")), partition_by=("day",)
)


@pytest.fixture
def lake(spark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    yield paths.table(NAME)
    settings.cache_clear()


def publish(session, sql: str, mode: str = "append") -> None:
    path = paths.table(NAME)
    branch = open_branch(path, f"{path}/_branch/{uuid4()}/1", SPEC, mode)
    session.sql(sql).write.format("delta").mode("append").save(branch.path)
    fast_forward(branch, f"test/{uuid4()}", 1, {}, expected=diff(branch).fingerprint)


def rows(session) -> list[tuple]:
    frame = session.read.format("delta").load(paths.table(NAME))
    return sorted(tuple(row) for row in frame.collect())


def lines(low: int, high: int, day: str = "2025-10-01") -> str:
    return f"SELECT id, CAST(id * 7 % 5 AS STRING) AS v, DATE'{day}' AS day FROM range({low}, {high}, 1, 1)"


@pytest.mark.long(15)
def test_files_become_fewer_and_rows_stay(spark, lake, monkeypatch: pytest.MonkeyPatch):
    for n in range(4):
        publish(spark, lines(n * 10, n * 10 + 10))
    publish(spark, lines(100, 105, "2025-10-02"))
    before = rows(spark)
    done = optimize(NAME, ("id",))
    assert (done.state, done.before.files, done.after.files) == ("optimized", 5, 2)
    assert (done.partitions, done.skipped) == (2, 1)
    assert rows(spark) == before
    changed = [next(iter(a.values())) for a in read_commit(lake, done.version) if "add" in a or "remove" in a]
    assert changed
    assert not any(content["dataChange"] for content in changed)
    # The second time there is nobody to ask: no server, and none is missed.
    with monkeypatch.context() as patch:
        patch.setenv("LAKEHOUSE_SPARK_REMOTE", "")
        settings.cache_clear()
        again = optimize(NAME, ("id",))
        assert (again.state, again.version, again.skipped) == ("unchanged", done.version, 2)
    settings.cache_clear()
    publish(spark, lines(200, 205, "2025-10-02"))
    third = optimize(NAME, ("id",))
    assert (third.state, third.skipped, third.after.files) == ("optimized", 1, 2)
    assert len(rows(spark)) == len(before) + 5


def test_operational_tables_are_kept_up_too(spark, lake):
    import pyarrow as pa

    path = paths.ops("ledger")
    for n in range(3):
        append_rows(path, pa.table({"table": ["a"], "n": [n]}), ("table",))
    done = maintain("ops.ledger")
    assert (done.files.before.files, done.files.after.files) == (3, 1)
    append_rows(path, pa.table({"table": ["a"], "n": [3]}), ("table",))
    assert sorted(store.delta_table(path).to_pyarrow_table()["n"].to_pylist()) == [0, 1, 2, 3]


def test_vacuum_takes_what_nobody_needs_and_nothing_else(spark, lake):
    publish(spark, lines(0, 10))
    old = time.time() - 9 * 24 * 3600
    stray, fresh = Path(lake) / "day=2025-10-01" / "stray.parquet", Path(lake) / "day=2025-10-01" / "fresh.parquet"
    for file in (stray, fresh):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"left by somebody")
    os.utime(stray, (old, old))
    version = latest_version(lake)
    assert vacuum(NAME, dry_run=True) == 1
    assert stray.exists()
    assert vacuum(NAME) == 1
    assert not stray.exists()
    assert fresh.exists()
    assert latest_version(lake) == version, "Spark commits to no published table"
    assert len(rows(spark)) == 10
    assert vacuum(NAME) == 0
