"""Diffs and commits on hand-written logs: no JVM, no Spark."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.delta import (
    BranchRefused,
    ColumnSpec,
    PublishConflict,
    SchemaChanged,
    TableSpec,
    TypeUnknown,
    UnknownFeature,
    commit_metadata,
    diff,
    drop_branch,
    fast_forward,
    latest_version,
    open_branch,
    schema_columns,
    transaction_version,
)
from lakehouse.delta import publish as publishing
from lakehouse.delta.store import put_if_absent

SPEC = TableSpec((ColumnSpec("id", "BIGINT"), ColumnSpec("p", "STRING")), partition_by=("p",))

NEW_PROTOCOL = {"minReaderVersion": 3, "minWriterVersion": 7}


def added(path, rows=1, change=True, **more):
    stats = json.dumps({"numRecords": rows})
    part = {"path": path, "partitionValues": {"p": "x"}, "size": 1, "modificationTime": 1, "dataChange": change}
    return {"add": {**part, "stats": stats, **more}}


def removed(path, change=True, **more):
    stats = json.dumps({"numRecords": 1})
    return {"remove": {"path": path, "deletionTimestamp": 1, "dataChange": change, "stats": stats, **more}}


def commit(path, version, *actions):
    text = "".join(json.dumps(a) + "\n" for a in actions)
    assert put_if_absent(f"{path}/_delta_log/{version:020}.json", text.encode())


def content(path, version, kind):
    lines = Path(path, "_delta_log", f"{version:020}.json").read_text().splitlines()
    return [json.loads(line)[kind] for line in lines if kind in json.loads(line)]


@pytest.fixture
def path(tmp_path):
    """A published table of one file, in a folder whose name needs escaping."""
    table = str(tmp_path / "my lake%" / "t")
    branch = open_branch(table, f"{table}/_branch/b0/1", SPEC, "append")
    commit(branch.path, 1, added("p=x/base.parquet", rows=3))
    fast_forward(branch, "seed", 1, {"run": "r0"})
    return table


def append_branch(path, name="b1", files=("f.parquet",), spec=SPEC):
    branch = open_branch(path, f"{path}/_branch/{name}/1", spec, "append")
    start = latest_version(branch.path) + 1
    for n, file in enumerate(files):
        commit(branch.path, start + n, added(file))
    return branch


def test_a_new_table_has_schema_data_and_transaction_in_one_commit(path):
    assert latest_version(path) == 0
    assert content(path, 0, "protocol") == [{"minReaderVersion": 1, "minWriterVersion": 4}]
    assert content(path, 0, "add")[0]["path"] == "_branch/b0/1/p=x/base.parquet"
    assert content(path, 0, "txn")[0]["appId"] == "seed"
    assert content(path, 0, "metaData")[0]["configuration"] == {"delta.enableChangeDataFeed": "true"}
    assert commit_metadata(path, 0) == {"run": "r0"}
    assert transaction_version(path, "seed") == 1
    assert transaction_version(path, "other") is None
    assert [(c.name, c.type) for c in schema_columns(path)] == [("id", "BIGINT"), ("p", "STRING")]


def test_no_table_has_no_version(tmp_path):
    assert latest_version(str(tmp_path)) == -1
    assert transaction_version(str(tmp_path), "x") is None
    assert commit_metadata(str(tmp_path), 0) is None
    assert schema_columns(str(tmp_path)) == ()


def test_a_file_that_came_and_went_is_not_told(path):
    branch = append_branch(path, files=("a.parquet", "b.parquet"))
    commit(branch.path, 3, removed("a.parquet", False), removed("b.parquet", False), added("c.parquet", 2, False))
    change = diff(branch)
    assert (change.files_added, change.files_removed, change.rows_added) == (1, 0, 2)
    assert change.actions[0]["add"]["path"] == "_branch/b1/1/c.parquet"
    assert change.actions[0]["add"]["dataChange"] is True


def test_paths_of_a_clone_become_relative_and_keep_their_escapes(path, tmp_path):
    branch = append_branch(path, files=())
    base = (tmp_path / "my lake%" / "t").as_uri() + "/p=a%2520b/%C3%A9.parquet"
    commit(branch.path, 1, removed(base), added("p=a%2520b/new.parquet"))
    assert [next(iter(a.values()))["path"] for a in diff(branch).actions] == [
        "p=a%2520b/%C3%A9.parquet",
        "_branch/b1/1/p=a%2520b/new.parquet",
    ]


def test_a_file_of_another_table_is_refused(path, tmp_path):
    branch = append_branch(path, files=())
    commit(branch.path, 1, removed((tmp_path / "other" / "f.parquet").as_uri()))
    with pytest.raises(UnknownFeature, match="outside its table"):
        diff(branch)


@pytest.mark.parametrize(
    ("action", "named"),
    [
        (added("f", deletionVector={"storageType": "u"}), "deletionVector"),
        (added("f", baseRowId=0), "baseRowId"),
        (added("f", clusteringProvider="liquid"), "clusteringProvider"),
        ({"domainMetadata": {"domain": "d", "configuration": "", "removed": False}}, "domainMetadata"),
        (
            {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["v2Checkpoint"]}},
            "v2Checkpoint",
        ),
        ({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}}, "3/7"),
    ],
)
def test_what_is_not_known_is_refused_by_name(path, action, named):
    branch = append_branch(path)
    commit(branch.path, 2, action)
    with pytest.raises(UnknownFeature, match=named):
        fast_forward(branch, "x", 1, {})
    assert latest_version(path) == 0


def test_null_parts_of_an_action_are_no_feature(path):
    branch = append_branch(path, files=())
    commit(branch.path, 1, added("f", deletionVector=None, baseRowId=None))
    assert fast_forward(branch, "x", 1, {}).version == 1


@pytest.mark.parametrize(
    ("columns", "partition_by", "message"),
    [
        ((("id", "STRING", True), ("p", "STRING", True)), ("p",), "'id' is BIGINT, not STRING"),
        ((("p", "STRING", True),), ("p",), "'id' is published"),
        ((("id", "BIGINT", True), ("p", "STRING", True)), (), "partitioned by p, not by nothing"),
        ((("id", "BIGINT", False), ("p", "STRING", True)), ("p",), "'id' is nullable"),
        ((("id", "BIGINT", True), ("p", "STRING", True), ("n", "INT", False)), ("p",), "'n' is required"),
    ],
)
def test_a_table_grows_by_nullable_columns_only(path, columns, partition_by, message):
    spec = TableSpec(tuple(ColumnSpec(*c) for c in columns), partition_by)
    with pytest.raises(SchemaChanged, match=message):
        open_branch(path, f"{path}/_branch/b1/1", spec, "append")


def test_comments_and_order_are_no_change(path):
    columns = (ColumnSpec("p", "STRING", comment="part"), ColumnSpec("id", "BIGINT", comment="key"))
    branch = append_branch(path, spec=TableSpec(columns, ("p",)))
    assert diff(branch).is_append


def test_a_grown_table_keeps_its_identity(path):
    wider = TableSpec((*SPEC.columns, ColumnSpec("n", "DECIMAL(18,2)")), ("p",))
    branch = append_branch(path, spec=wider)
    fast_forward(branch, "grow", 1, {})
    before, after = content(path, 0, "metaData")[0], content(path, 1, "metaData")[0]
    assert (after["id"], after["createdTime"]) == (before["id"], before["createdTime"])
    assert schema_columns(path)[2] == ColumnSpec("n", "DECIMAL(18,2)")


def test_a_property_that_needs_a_feature_is_refused():
    with pytest.raises(UnknownFeature, match="enableDeletionVectors"):
        TableSpec(SPEC.columns, properties={"delta.enableDeletionVectors": "true"})


@pytest.mark.parametrize(
    "kind",
    ["INT", "DECIMAL(38,18)", "ARRAY<STRING>", "MAP<STRING, ARRAY<INT>>", "STRUCT<a: INT, `b c`: TIMESTAMP>", "DATE"],
)
def test_types_survive_both_spellings(tmp_path, kind):
    path = str(tmp_path / "t")
    spec = TableSpec((ColumnSpec("c", kind, nullable=False, comment="why"),))
    fast_forward(open_branch(path, f"{path}/_branch/b/1", spec, "append"), "x", 1, {})
    assert schema_columns(path) == spec.columns


@pytest.mark.parametrize("kind", ["TIMESTAMP_NTZ", "VARIANT", "VARCHAR(3)", "NONSENSE", ""])
def test_other_types_are_refused(tmp_path, kind):
    with pytest.raises(TypeUnknown):
        open_branch(f"{tmp_path}/t", f"{tmp_path}/t/_branch/b/1", TableSpec((ColumnSpec("c", kind),)), "append")


def test_put_if_absent_has_one_winner(tmp_path):
    target = tmp_path / "log" / "0.json"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: put_if_absent(str(target), b"%d" % n * 1000), range(32)))
    assert won.count(True) == 1
    assert target.read_bytes() == b"%d" % won.index(True) * 1000
    assert [p.name for p in target.parent.iterdir()] == ["0.json"]


def test_one_of_many_publishers_wins(path):
    branches = [append_branch(path, f"b{n}") for n in range(1, 9)]

    def publish(n):
        try:
            return fast_forward(branches[n], f"app{n}", 1, {}).version
        except PublishConflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(publish, range(8)))
    assert sorted(v for v in versions if v is not None) == [1]
    assert latest_version(path) == 1


def test_appends_that_do_not_depend_on_each_other_all_get_in(path):
    branches = [append_branch(path, f"b{n}") for n in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda n: fast_forward(branches[n], f"app{n}", 1, {}, rebase_appends=True), range(8))
    assert sorted(p.version for p in done) == list(range(1, 9))


def test_one_batch_published_by_many_at_once_is_there_once(path):
    branches = [append_branch(path, f"b{n}") for n in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda b: fast_forward(b, "one batch", 1, {}, rebase_appends=True), branches))
    assert [p.already for p in done].count(False) == 1
    assert {p.version for p in done} == {1} == {latest_version(path)}


def test_an_older_load_of_the_batch_comes_too_late(path):
    fast_forward(append_branch(path, "b2"), "batch", 2, {})
    late = fast_forward(append_branch(path, "b1"), "batch", 1, {})
    assert (late.already, latest_version(path)) == (True, 1)
    assert fast_forward(append_branch(path, "b3"), "batch", 3, {}).version == 2


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        ([added("other.parquet")], "changed rows"),
        ([removed("p=x/base.parquet", False), added("c.parquet", 1, False)], None),
        ([removed("_branch/b0/1/p=x/base.parquet", False)], "removed files"),
        ("a new property", "it holds metaData"),
        ([{"commitInfo": {"operation": "VACUUM END"}}], None),
    ],
)
def test_what_may_come_between(path, tmp_path, between, reason):
    branch = append_branch(path)
    base = (tmp_path / "my lake%" / "t").as_uri() + "/_branch/b0/1/p%3Dx/base.parquet"
    commit(branch.path, 2, removed(base))
    if between == "a new property":
        between = [{"metaData": {**content(path, 0, "metaData")[0], "configuration": {"delta.appendOnly": "false"}}}]
    commit(path, 1, *between)
    if reason is None:
        assert fast_forward(branch, "x", 1, {}).version == 2
    else:
        with pytest.raises(PublishConflict, match=reason):
            fast_forward(branch, "x", 1, {})
        assert latest_version(path) == 1


def test_a_table_made_meanwhile_is_a_conflict(tmp_path):
    path = f"{tmp_path}/t"
    branches = [append_branch(path, name) for name in ("b1", "b2")]
    fast_forward(branches[0], "one", 1, {})
    with pytest.raises(PublishConflict, match="made or replaced"):
        fast_forward(branches[1], "two", 1, {})


@pytest.mark.parametrize("before", ["diff", "_check_between"])
@pytest.mark.parametrize("kept", [True, False], ids=["folder used before", "new folder"])
def test_a_branch_dropped_under_a_publisher_is_not_published(path, monkeypatch, before, kept):
    """The publisher sleeps after reading the branch, or after its last look at it; the drop comes then."""
    if kept:
        first = append_branch(path, files=("first.parquet",))
        fast_forward(first, "first", 1, {})
        drop_branch(first)
    branch = append_branch(path)
    step = getattr(publishing, before)

    def dropped_meanwhile(*args):
        found = step(*args)
        drop_branch(branch)
        return found

    monkeypatch.setattr(publishing, before, dropped_meanwhile)
    with pytest.raises(BranchRefused):
        fast_forward(branch, "x", 1, {})
    assert latest_version(path) == branch.base_version
    assert not Path(branch.path, "_delta_log").exists()


def test_dropping_twice_and_after_publishing_keeps_what_the_table_has(path):
    branch = append_branch(path)
    Path(branch.path, "f.parquet").touch()
    fast_forward(branch, "x", 1, {})
    drop_branch(branch)
    drop_branch(branch)
    assert Path(branch.path, "f.parquet").exists()
    # The folder's next user cannot delete it either.
    again = append_branch(path, files=("g.parquet",))
    drop_branch(again)
    assert Path(branch.path, "f.parquet").exists()


def test_a_stale_handle_does_not_drop_a_newer_branch(path):
    old, new = append_branch(path), append_branch(path)
    drop_branch(old)
    assert fast_forward(new, "x", 1, {}).version == 1


@pytest.mark.parametrize("where", ["elsewhere", "t/visible/b", "t"])
def test_a_branch_lies_hidden_inside_its_table(tmp_path, where):
    with pytest.raises(BranchRefused):
        open_branch(f"{tmp_path}/t", f"{tmp_path}/{where}", SPEC, "append")
