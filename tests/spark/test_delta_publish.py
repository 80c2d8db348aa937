"""Branches of every kind become one commit of their table, and nobody sees anything before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse.delta import (
    Branch,
    BranchRefused,
    CandidateChanged,
    ColumnSpec,
    PublishConflict,
    SchemaChanged,
    SeveralStatements,
    TableSpec,
    UnknownFeature,
    commit_metadata,
    diff,
    drop_branch,
    fast_forward,
    latest_version,
    open_branch,
    schema_columns,
    store,
    table_sql,
    table_stats,
    transaction_version,
)

SPEC = TableSpec((ColumnSpec("id", "BIGINT"), ColumnSpec("v", "STRING"), ColumnSpec("amount", "DECIMAL(18,2)")))
SPLIT = TableSpec((*SPEC.columns, ColumnSpec("p", "STRING")), partition_by=("p",))
#: Everything that a path escapes in a way of its own: Hive's, the URI's, or neither's.
AWKWARD = ["a b", "50%", "ünï/cødé", "x=y", "a+b", "c%20d", "q'uo\"te", "#&?:"]


class Lake:
    """One table, and branches of it by number."""

    def __init__(self, path, spark, spec):
        self.path, self.spark, self.spec, self.count = str(path), spark, spec, 0

    def branch(self, mode, spec=None):
        self.count += 1
        return open_branch(self.path, f"{self.path}/_branch/b{self.count}/1", spec or self.spec, mode)

    def publish(self, branch, app="load", transaction=None, **options):
        return fast_forward(branch, app, transaction or self.count, {"batch": self.count}, **options)

    def run(self, statement, mode="clone"):
        """`statement` with {b} for the branch's name, on a new branch."""
        branch = self.branch(mode)
        self.spark.sql(statement.format(b=table_sql(branch.path)))
        return branch

    def seed(self, rows=10, parts=()):
        part = (
            f", element_at(array({', '.join(map(literal, parts))}), CAST(id % {len(parts)} AS INT) + 1)"
            if parts
            else ""
        )
        branch = self.run(f"INSERT INTO {{b}} SELECT id, 'seed', 1.50{part} FROM range({rows})", "append")
        return self.publish(branch)

    def rows(self):
        return sorted(tuple(r) for r in self.spark.read.format("delta").load(self.path).collect())

    def rows_of_delta_rs(self):
        from deltalake import DeltaTable

        address, options = store.delta_rs(self.path)
        table = DeltaTable(address, storage_options=options)
        return sorted(tuple(r.values()) for r in table.to_pyarrow_table().to_pylist())

    def feed(self, version):
        reader = self.spark.read.format("delta").option("readChangeFeed", "true")
        frame = reader.option("startingVersion", version).option("endingVersion", version).load(self.path)
        return sorted((r["id"], r["v"], r["_change_type"]) for r in frame.collect())

    def optimize(self):
        """Maintenance: rewrites files, changes no row."""
        branch = self.run("OPTIMIZE {b}")
        return self.publish(branch, "optimize")


def literal(text):
    from sqlglot import exp

    return exp.Literal.string(text).sql(dialect="spark")


@pytest.fixture
def lake(tmp_path, spark):
    return Lake(tmp_path / "my lake" / "orders", spark, SPEC)


@pytest.fixture
def split(tmp_path, spark):
    return Lake(tmp_path / "my lake" / "split", spark, SPLIT)


def merge(source):
    return (
        f"MERGE INTO {{b}} t USING ({source}) s ON t.id = s.id WHEN MATCHED AND s.v IS NULL THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)"
    )


def test_a_new_table_is_one_commit(lake):
    branch = lake.run("INSERT INTO {b} SELECT id, 'seed', 1.5 FROM range(10)", "append")
    assert latest_version(lake.path) == -1
    published = lake.publish(branch)
    assert (published.version, published.rows_added, published.files_removed) == (0, 10, 0)
    assert len(lake.rows()) == 10
    assert lake.rows_of_delta_rs() == lake.rows()
    assert commit_metadata(lake.path, 0) == {"batch": 1}
    assert schema_columns(lake.path) == SPEC.columns


@pytest.mark.parametrize("mode", ["append", "clone"])
def test_a_new_empty_table_is_published(lake, mode):
    assert lake.publish(lake.branch(mode)).version == 0
    assert lake.rows() == []


@pytest.mark.long(9)
def test_readers_see_nothing_before_and_everything_after(lake):
    lake.seed()
    before = lake.rows()
    appended = lake.run("INSERT INTO {b} VALUES (100, 'new', 2)", "append")
    assert lake.rows() == before
    assert lake.rows_of_delta_rs() == before
    assert lake.publish(appended).version == 1
    assert len(lake.rows()) == 11


@pytest.mark.long(12)
def test_merge_and_its_change_feed(lake):
    lake.seed()
    branch = lake.run(merge("SELECT * FROM VALUES (1L, 'changed'), (2L, NULL), (50L, 'new') AS s(id, v)"))
    assert len(lake.spark.read.format("delta").load(branch.path).collect()) == 10
    assert {v for _, v, _ in lake.rows()} == {"seed"}
    published = lake.publish(branch)
    assert lake.feed(published.version) == [
        (1, "changed", "update_postimage"),
        (1, "seed", "update_preimage"),
        (2, "seed", "delete"),
        (50, "new", "insert"),
    ]
    assert lake.rows_of_delta_rs() == lake.rows()
    history = lake.spark.sql(f"DESCRIBE HISTORY {table_sql(lake.path)} LIMIT 1").collect()[0]
    assert (history["operation"], json.loads(history["userMetadata"])) == ("MERGE", {"batch": 2})


def test_change_feed_of_an_append_is_its_rows(lake):
    lake.seed(2)
    version = lake.publish(lake.run("INSERT INTO {b} VALUES (7, 'x', 1)", "append")).version
    assert lake.feed(version) == [(7, "x", "insert")]


@pytest.mark.long(15)
def test_awkward_partition_values(split):
    split.seed(rows=80, parts=AWKWARD)
    for n, part in enumerate(AWKWARD):
        split.publish(split.run(f"UPDATE {{b}} SET v = 'hit {n}' WHERE p = {literal(part)}"))
    assert len(split.rows()) == 80
    assert {(v, p) for _, v, _, p in split.rows()} == {(f"hit {n}", part) for n, part in enumerate(AWKWARD)}
    assert split.rows_of_delta_rs() == split.rows()


def test_overwriting_a_partition_keeps_the_others(split):
    split.seed(rows=80, parts=AWKWARD)
    branch = split.branch("clone")
    new = split.spark.sql("SELECT 1L AS id, 'over' AS v, CAST(3 AS DECIMAL(18,2)) AS amount, 'ünï/cødé' AS p")
    new.write.format("delta").mode("overwrite").option("replaceWhere", "p = 'ünï/cødé'").save(branch.path)
    assert split.publish(branch).files_removed > 0
    rows = split.rows()
    assert len(rows) == 71
    assert [r[:2] for r in rows if r[3] == "ünï/cødé"] == [(1, "over")]
    assert split.rows_of_delta_rs() == rows


def test_optimize_changes_files_and_no_row(split):
    split.seed(rows=8, parts=["a b", "50%"])
    split.publish(split.run("INSERT INTO {b} VALUES (90, 'n', 1, 'a b'), (91, 'n', 1, '50%')", "append"))
    before, files = split.rows(), table_stats(split.path).files
    published = split.optimize()
    assert table_stats(split.path).files < files
    assert split.rows() == before == split.rows_of_delta_rs()
    assert split.feed(published.version) == []


def test_maintenance_in_between_is_no_conflict(lake):
    lake.seed()
    lake.publish(lake.run("INSERT INTO {b} VALUES (90, 'n', 1)", "append"))
    waiting = lake.run("INSERT INTO {b} VALUES (91, 'n', 1)", "append")
    assert lake.optimize().version == 2
    assert lake.publish(waiting, "late", 1).version == 3
    assert len(lake.rows()) == 12
    assert lake.rows_of_delta_rs() == lake.rows()


@pytest.mark.long(9)
def test_maintenance_of_the_same_files_is_a_conflict(lake):
    lake.seed()
    lake.publish(lake.run("INSERT INTO {b} VALUES (90, 'n', 1)", "append"))
    waiting = lake.run(merge("SELECT 1L id, 'changed' v"))
    lake.optimize()
    before = lake.rows()
    with pytest.raises(PublishConflict, match="removed files"):
        lake.publish(waiting, "late", 1)
    assert lake.rows() == before


@pytest.mark.long(6)
@pytest.mark.parametrize("mode", ["append", "clone"])
def test_another_publish_in_between_is_a_conflict(lake, mode):
    lake.seed()
    waiting = lake.run("INSERT INTO {b} VALUES (91, 'late', 1)", mode)
    lake.publish(lake.run("INSERT INTO {b} VALUES (92, 'first', 1)", "append"), "first", 1)
    with pytest.raises(PublishConflict, match="changed rows"):
        lake.publish(waiting, "late", 1)
    if mode == "clone":
        with pytest.raises(PublishConflict):
            lake.publish(waiting, "late", 1, rebase_appends=True)
    else:
        assert lake.publish(waiting, "late", 1, rebase_appends=True).version == 2
        assert len(lake.rows()) == 12


def test_the_same_transaction_is_published_once(lake):
    lake.seed()
    branches = [lake.run("INSERT INTO {b} VALUES (91, 'x', 1)", "append") for _ in range(2)]
    first = lake.publish(branches[0], "batch", 1)
    for again in [branches[0], branches[1], Branch.from_json(branches[1].to_json())]:
        repeated = lake.publish(again, "batch", 1)
        assert (repeated.already, repeated.version) == (True, first.version)
    assert transaction_version(lake.path, "batch") == 1
    assert len(lake.rows()) == 11


@pytest.mark.long(20)
def test_transactions_outlive_checkpoints(lake):
    lake.seed()
    for n in range(11):
        lake.publish(lake.run(f"INSERT INTO {{b}} VALUES ({100 + n}, 'x', 1)", "append"), f"batch{n}", 1)
    assert Path(lake.path, "_delta_log", "_last_checkpoint").exists()
    for n in range(10):
        Path(lake.path, "_delta_log", f"{n:020}.json").unlink()
    assert transaction_version(lake.path, "batch0") == 1
    again = lake.publish(lake.run("INSERT INTO {b} VALUES (100, 'x', 1)", "append"), "batch0", 1)
    assert again.already
    assert len(lake.rows()) == 21
    assert lake.rows_of_delta_rs() == lake.rows()


def test_nothing_to_publish_commits_nothing(lake):
    lake.seed()
    published = lake.publish(lake.run("DELETE FROM {b} WHERE id = 12345"))
    assert (published.empty, published.version, latest_version(lake.path)) == (True, 0, 0)


@pytest.mark.long(6)
@pytest.mark.parametrize("mode", ["append", "clone"])
def test_new_nullable_columns_come_with_the_publish(lake, mode):
    lake.seed()
    wider = TableSpec((*SPEC.columns, ColumnSpec("extra", "ARRAY<STRING>", comment="new")))
    branch = lake.branch(mode, wider)
    lake.spark.sql(f"INSERT INTO {table_sql(branch.path)} VALUES (77, 'x', 1, array('e'))")
    assert [c.name for c in schema_columns(lake.path)] == ["id", "v", "amount"]
    lake.publish(branch)
    assert schema_columns(lake.path) == wider.columns
    assert [r for r in lake.rows() if r[0] in (1, 77)] == [(1, "seed", lake.rows()[0][2], None), (77, "x", 1, ["e"])]
    assert lake.rows_of_delta_rs() == lake.rows()
    assert lake.spark.sql(f"DESCRIBE DETAIL {table_sql(lake.path)}").collect()[0]["minReaderVersion"] == 1


def test_a_schema_that_spark_changed_on_the_branch_is_refused(lake):
    lake.seed()
    branch = lake.branch("clone")
    frame = lake.spark.sql("SELECT '1' AS id, 'x' AS v, CAST(1 AS DECIMAL(18,2)) AS amount")
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(branch.path)
    with pytest.raises(SchemaChanged, match="'id' is BIGINT, not STRING"):
        lake.publish(branch)


def test_deletion_vectors_are_refused_by_name(lake):
    lake.seed(1000)
    branch = lake.branch("clone")
    lake.spark.sql(f"ALTER TABLE {table_sql(branch.path)} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    lake.spark.sql(f"DELETE FROM {table_sql(branch.path)} WHERE id = 5")
    with pytest.raises(UnknownFeature, match="deletion vectors"):
        lake.publish(branch)
    assert latest_version(lake.path) == 0


def test_a_table_with_deletion_vectors_is_refused_at_once(tmp_path, spark):
    path = f"{tmp_path}/t"
    properties = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
    spark.sql(f"CREATE TABLE {table_sql(path)} (id BIGINT) USING DELTA {properties}")
    with pytest.raises(UnknownFeature, match="deletionVectors"):
        open_branch(path, f"{path}/_branch/b/1", TableSpec((ColumnSpec("id", "BIGINT"),)), "append")


def test_two_statements_that_the_feed_cannot_tell_are_refused(lake):
    lake.seed()
    branch = lake.run(merge("SELECT 1L id, 'changed' v"))
    lake.spark.sql(f"INSERT INTO {table_sql(branch.path)} VALUES (91, 'x', 1)")
    with pytest.raises(SeveralStatements):
        diff(branch)


def test_several_appends_and_a_compaction_are_one_commit(lake):
    lake.seed()
    branch = lake.branch("append")
    for n in (91, 92):
        lake.spark.sql(f"INSERT INTO {table_sql(branch.path)} VALUES ({n}, 'x', 1)")
    lake.spark.sql(f"OPTIMIZE {table_sql(branch.path)}")
    published = lake.publish(branch)
    assert (published.files_added, published.files_removed, published.rows_added) == (1, 0, 2)
    assert lake.feed(published.version) == [(91, "x", "insert"), (92, "x", "insert")]
    assert len(lake.rows()) == 12


def test_a_candidate_that_changed_after_its_audit_is_refused(lake):
    lake.seed()
    branch = lake.run("INSERT INTO {b} VALUES (91, 'x', 1)", "append")
    audited = diff(branch).fingerprint
    lake.spark.sql(f"INSERT INTO {table_sql(branch.path)} VALUES (92, 'zombie', 1)")
    with pytest.raises(CandidateChanged):
        lake.publish(branch, expected=audited)


@pytest.mark.parametrize("mode", ["append", "clone"])
def test_a_retry_in_the_same_folder_starts_clean(lake, mode):
    lake.seed()
    path = f"{lake.path}/_branch/same/1"
    first = open_branch(lake.path, path, SPEC, mode)
    lake.spark.sql(f"INSERT INTO {table_sql(path)} VALUES (91, 'dead', 1)")
    second = open_branch(lake.path, path, SPEC, mode)
    lake.spark.sql(f"INSERT INTO {table_sql(path)} VALUES (92, 'retry', 1)")
    with pytest.raises(BranchRefused):
        lake.publish(first, "zombie", 1)
    lake.publish(second, "retry", 1)
    assert [r[:2] for r in lake.rows() if r[0] > 50] == [(92, "retry")]


def test_dropping_a_published_branch_keeps_the_data(lake):
    lake.seed()
    path = f"{lake.path}/_branch/same/1"
    for n in (1, 2, 3):
        branch = open_branch(lake.path, path, SPEC, "append")
        lake.spark.sql(f"INSERT INTO {table_sql(path)} VALUES ({100 + n}, 'x', 1)")
        lake.publish(branch, "same", n)
        drop_branch(branch)
        drop_branch(branch)
    # In the same folder again, now changing rows that lie in that folder.
    branch = open_branch(lake.path, path, SPEC, "clone")
    lake.spark.sql(f"DELETE FROM {table_sql(path)} WHERE id = 102")
    lake.publish(branch, "same", 4)
    drop_branch(branch)
    assert [r[0] for r in lake.rows() if r[0] > 50] == [101, 103]
    assert lake.rows_of_delta_rs() == lake.rows()


def test_dropping_an_unpublished_branch_removes_it(lake):
    lake.seed()
    branch = lake.run("INSERT INTO {b} VALUES (91, 'x', 1)", "append")
    drop_branch(branch)
    assert not Path(branch.path).exists()
    with pytest.raises(BranchRefused):
        lake.publish(branch)
    assert len(lake.rows()) == 10


def test_a_table_that_delta_rs_wrote_can_be_branched(tmp_path, spark):
    import pyarrow as pa

    from lakehouse.delta import append_rows

    path = str(tmp_path / "ops table")
    append_rows(path, pa.table({"id": pa.array([1, 2], pa.int64()), "p": ["ü %", "b"]}), partition_by=("p",))
    spec = TableSpec(schema_columns(path), partition_by=("p",), properties={})
    branch = open_branch(path, f"{path}/_branch/b/1", spec, "clone")
    spark.sql(f"UPDATE {table_sql(branch.path)} SET id = id + 10")
    fast_forward(branch, "x", 1, {})
    lake = Lake(path, spark, spec)
    assert lake.rows() == [(11, "ü %"), (12, "b")] == lake.rows_of_delta_rs()


def test_spark_goes_on_with_a_published_table(lake):
    """VACUUM, time travel and RESTORE: what others may do to a table that consists of branches' files."""
    lake.seed()
    lake.publish(lake.run(merge("SELECT 1L id, 'changed' v")))
    now = lake.rows()
    lake.spark.sql(f"VACUUM {table_sql(lake.path)} RETAIN 168 HOURS")
    assert lake.rows() == now
    old = lake.spark.read.format("delta").option("versionAsOf", 0).load(lake.path)
    assert {r["v"] for r in old.collect()} == {"seed"}
