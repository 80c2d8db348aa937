"""What only Spark can show: statements of every kind on a clone, the change feed of an undo, and tables on S3."""

from __future__ import annotations

from datetime import timedelta

import psutil
import pytest

from lakehouse import aws, connections
from lakehouse.delta import collect, drop_branch, revert, schema_columns, table_sql, table_stats
from tests.spark.test_delta_publish import AWKWARD, SPEC, SPLIT, Lake, literal, merge
from tests.stores import aws_connection, aws_endpoint

__all__ = ["aws_endpoint"]


@pytest.fixture
def lake(tmp_path, spark):
    return Lake(tmp_path / "my lake" / "orders", spark, SPEC)


@pytest.fixture
def split(tmp_path, spark):
    return Lake(tmp_path / "my lake" / "split", spark, SPLIT)


@pytest.mark.long(15)
def test_partitions_are_overwritten_as_they_come(split):
    """Dynamic partition overwrite, by SQL."""
    split.seed(rows=80, parts=AWKWARD)
    split.spark.conf.set("spark.sql.sources.partitionOverwriteMode", "dynamic")
    try:
        part = literal("ünï/cødé")
        branch = split.run(f"INSERT OVERWRITE {{b}} VALUES (1, 'over', 3, {part}), (2, 'over', 3, 'brand new')")
    finally:
        split.spark.conf.unset("spark.sql.sources.partitionOverwriteMode")
    split.publish(branch)
    rows = split.rows()
    assert len(rows) == 72
    assert sorted(r[3] for r in rows if r[1] == "over") == ["brand new", "ünï/cødé"]
    assert split.rows_of_delta_rs() == rows


@pytest.mark.long(9)
def test_a_full_rebuild_replaces_everything(split):
    split.seed(rows=80, parts=AWKWARD)
    version = split.publish(split.run("INSERT OVERWRITE {b} SELECT 7, 'all', 1, 'x=y'")).version
    assert [r[:2] for r in split.rows()] == [(7, "all")]
    assert split.rows_of_delta_rs() == split.rows()
    kinds = [kind for _, _, kind in split.feed(version)]
    assert (kinds.count("delete"), kinds.count("insert")) == (80, 1)


@pytest.mark.long(9)
def test_zorder_changes_no_row(lake):
    lake.seed()
    lake.publish(lake.run("INSERT INTO {b} VALUES (90, 'n', 1)", "append"))
    before = lake.rows()
    version = lake.publish(lake.run("OPTIMIZE {b} ZORDER BY (id)")).version
    assert (lake.rows(), lake.rows_of_delta_rs(), lake.feed(version)) == (before, before, [])
    assert table_stats(lake.path).files == 1


def test_a_merge_that_adds_a_column(lake):
    lake.seed()
    statement = "MERGE WITH SCHEMA EVOLUTION INTO {b} t USING (SELECT 1L id, 'new' v, 'x' note) s ON t.id = s.id "
    version = lake.publish(lake.run(statement + "WHEN MATCHED THEN UPDATE SET *")).version
    assert [c.name for c in schema_columns(lake.path)] == ["id", "v", "amount", "note"]
    assert [r["note"] for r in lake.spark.read.format("delta").load(lake.path).collect() if r["id"] == 1] == ["x"]
    assert len(lake.feed(version)) == 2


@pytest.mark.long(10)
def test_an_undo_is_in_the_change_feed(lake):
    lake.seed(3)
    before = lake.rows()
    changed = lake.publish(lake.run(merge("SELECT * FROM VALUES (1L, 'x'), (2L, NULL), (9L, 'n') AS s(id, v)"))).version
    undone = revert(lake.path, changed, {"why": "test"}).version
    assert lake.rows() == before == lake.rows_of_delta_rs()
    state = {}
    for version in (0, changed, undone):
        feed = lake.feed(version)
        for row, v, kind in feed:
            if kind in ("delete", "update_preimage"):
                assert state.pop(row) == v, "the feed takes away what was there"
        state |= {row: v for row, v, kind in feed if kind in ("insert", "update_postimage")}
    assert state == {row[0]: row[1] for row in before}
    history = lake.spark.sql(f"DESCRIBE HISTORY {table_sql(lake.path)} LIMIT 1").collect()[0]
    assert history["operation"] == "REVERT"


@pytest.fixture
def s3_spark(aws_endpoint, tmp_path, monkeypatch):
    """A server of its own, that reaches the stand-in as the connection aws_default says."""
    from lakehouse.config import settings
    from lakehouse.spark import connect
    from lakehouse.spark.local import served

    told = aws_connection(aws_endpoint)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", told)
    access = aws.of(connections.parse("aws_default", told))
    with served(tmp_path, small_data=True, access=access) as endpoint:
        assert not any("test-secret" in p.read_text() for p in (tmp_path / "conf").rglob("*") if p.is_file())
        lines = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
        assert not any("test-secret" in word for line in lines for word in line)
        monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", endpoint)
        settings.cache_clear()
        session = connect("s3")
        yield session
        session.stop()
    settings.cache_clear()


@pytest.mark.long(85)
def test_tables_on_s3(s3_spark):
    """Append, merge, overwrite of a partition, optimize, undo and collect, with names that need escaping."""
    split = Lake("s3a://lake-tests/my lake%/split", s3_spark, SPLIT)
    split.seed(rows=80, parts=AWKWARD)
    assert split.rows() == split.rows_of_delta_rs()
    for n, part in enumerate(AWKWARD):
        split.publish(split.run(f"UPDATE {{b}} SET v = 'hit {n}' WHERE p = {literal(part)}"))
    before = split.rows()
    assert {(v, p) for _, v, _, p in before} == {(f"hit {n}", part) for n, part in enumerate(AWKWARD)}
    assert split.rows_of_delta_rs() == before
    changed = split.publish(split.run("DELETE FROM {b} WHERE id < 40")).version
    assert len(split.rows()) == 40
    revert(split.path, changed, {"why": "test"})
    assert split.rows() == before
    dead = split.run("INSERT INTO {b} VALUES (91, 'dead', 1, 'x=y')", "append")
    assert drop_branch(dead) is True
    split.optimize()
    assert split.rows() == before == split.rows_of_delta_rs()
    collect(split.path, timedelta(0))
    assert split.rows() == before
