"""One published change is taken back; what came after it stays."""

from __future__ import annotations

import json
import time

import pytest

from lakehouse.delta import RevertRefused, TableSpec, UnknownFeature, commit_metadata, latest_version, revert, store
from lakehouse.delta.log import commit_file, encode, read_commit
from tests.deltas import SPEC, Lake, new_file, work

WHY = {"why": "wrong rates", "who": "ann"}


@pytest.fixture
def lake(root):
    lake = Lake(f"{root}/t")
    lake.publish(lake.append((1, "a"), (2, "b")))
    return lake


def upper(rows):
    return [(i, v.upper()) for i, v in rows]


def test_an_append_is_taken_back_and_later_ones_stay(lake):
    lake.publish(lake.append((3, "wrong")))
    lake.publish(lake.append((4, "right")))
    done = revert(lake.path, 1, WHY)
    assert (done.version, done.files_added, done.files_removed, done.rows_added, done.rows_removed) == (3, 0, 1, 0, 1)
    assert lake.rows() == [(1, "a"), (2, "b"), (4, "right")]
    assert commit_metadata(lake.path, 3) == WHY


def test_a_merge_is_taken_back_with_statistics(lake):
    before = {a["add"]["path"]: a["add"] for a in read_commit(lake.path, 0) if "add" in a}
    lake.publish(lake.rewrite(upper))
    assert lake.rows() == [(1, "A"), (2, "B")]
    done = revert(lake.path, 1, WHY)
    assert (done.rows_added, done.rows_removed) == (2, 2)
    assert lake.rows() == [(1, "a"), (2, "b")]
    actions = list(read_commit(lake.path, 2))
    (back,) = [a["add"] for a in actions if "add" in a]
    assert back == before[back["path"]]
    assert all(a[k]["dataChange"] for a in actions for k in a if k in ("add", "remove"))


def test_it_is_done_once(lake):
    lake.publish(lake.append((3, "wrong")))
    first, again = revert(lake.path, 1, WHY), revert(lake.path, 1, {"why": "again"})
    assert (first.version, again.version, again.already, latest_version(lake.path)) == (2, 2, True, 2)


def test_an_undo_can_be_undone(lake):
    lake.publish(lake.rewrite(upper))
    revert(lake.path, 1, WHY)
    revert(lake.path, 2, {"why": "it was right"})
    assert lake.rows() == [(1, "A"), (2, "B")]
    assert revert(lake.path, 1, WHY).already


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (lambda lake: lake.rewrite(upper), "version 2 removed _branch/"),
        (lambda lake: lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE"), "version 2 removed"),
    ],
    ids=["merge", "optimize"],
)
def test_what_a_later_version_touched_is_refused(lake, later, reason):
    lake.publish(lake.append((3, "wrong")))
    lake.publish(later(lake))
    rows = lake.rows()
    with pytest.raises(RevertRefused, match=reason):
        revert(lake.path, 1, WHY)
    assert (latest_version(lake.path), lake.rows()) == (2, rows)


def test_a_file_that_came_back_is_refused(lake):
    lake.publish(lake.rewrite(upper))
    (gone,) = [a["remove"] for a in read_commit(lake.path, 1) if "remove" in a]
    assert store.put_if_absent(commit_file(lake.path, 2), encode([{"add": _added(gone["path"])}]))
    with pytest.raises(RevertRefused, match="version 2 added"):
        revert(lake.path, 1, WHY)


def _added(path):
    return {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": True}


@pytest.mark.parametrize(("version", "reason"), [(0, "it made the table"), (7, "versions are 0 to 0"), (-1, "0 to 0")])
def test_no_such_change(lake, version, reason):
    with pytest.raises(RevertRefused, match=reason):
        revert(lake.path, version, WHY)


def test_no_table(root):
    with pytest.raises(RevertRefused):
        revert(f"{root}/none", 1, WHY)


def test_maintenance_is_nothing_to_take_back(lake):
    lake.publish(lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE"))
    with pytest.raises(RevertRefused, match="changed no rows"):
        revert(lake.path, 1, WHY)


def test_a_change_of_schema_is_refused(lake):
    from lakehouse.delta import ColumnSpec, open_branch

    wider = TableSpec((*SPEC.columns, ColumnSpec("n", "INT")))
    branch = open_branch(lake.path, f"{lake.path}/_branch/wide/1", wider, "append")
    work(branch, new_file(branch.path, [(3, "c")]))
    lake.publish(branch)
    with pytest.raises(RevertRefused, match="schema"):
        revert(lake.path, 1, WHY)


def test_files_that_are_gone_are_told(lake):
    lake.publish(lake.rewrite(upper))
    (gone,) = [a["remove"]["path"] for a in read_commit(lake.path, 1) if "remove" in a]
    store.delete(f"{lake.path}/{store.decoded(gone)}")
    with pytest.raises(RevertRefused, match="gone or about to go"):
        revert(lake.path, 1, WHY)
    assert lake.rows() == [(1, "A"), (2, "B")]


def test_files_that_may_be_collected_at_any_moment_count_as_gone(lake):
    lake.publish(lake.rewrite(upper))
    actions = list(read_commit(lake.path, 1))
    for action in actions:
        if "remove" in action:
            action["remove"]["deletionTimestamp"] = int((time.time() - 168 * 3600 + 60) * 1000)
    store.replace(commit_file(lake.path, 1), encode(actions))
    with pytest.raises(RevertRefused, match="gone or about to go"):
        revert(lake.path, 1, WHY)


def test_a_log_that_is_gone_is_told(lake):
    for n in range(11):
        lake.publish(lake.append((n + 10, "x")))
    for n in range(10):
        store.delete(commit_file(lake.path, n))
    with pytest.raises(RevertRefused, match="no longer holds version 3"):
        revert(lake.path, 3, WHY)
    assert revert(lake.path, 11, WHY).version == 12


def test_what_is_not_known_is_refused(lake):
    lake.publish(lake.append((3, "x")))
    actions = [*read_commit(lake.path, 1), {"domainMetadata": {"domain": "d", "configuration": "", "removed": False}}]
    store.replace(commit_file(lake.path, 1), encode(actions))
    with pytest.raises(UnknownFeature):
        revert(lake.path, 1, WHY)


def test_a_commit_in_between_is_looked_at(lake, monkeypatch):
    """Another publish wins the version; one that touches the files makes the undo give up."""
    lake.publish(lake.append((3, "wrong")))
    real, others = store.put_if_absent, [lake.append((4, "harmless")), lake.rewrite(upper)]

    def put(path, data):
        if "/t/_delta_log/" in path and others and b"REVERT" in data:
            other = others.pop(0)
            with monkeypatch.context() as patch:
                patch.setattr(store, "put_if_absent", real)
                lake.publish(other)
        return real(path, data)

    monkeypatch.setattr(store, "put_if_absent", put)
    others.pop()
    assert revert(lake.path, 1, WHY).version == 3
    assert lake.rows() == [(1, "a"), (2, "b"), (4, "harmless")]
    lake.publish(lake.append((5, "wrong")))
    others.append(lake.rewrite(upper))
    with pytest.raises(RevertRefused, match="version 5 removed"):
        revert(lake.path, 4, WHY)


def test_json_of_the_commit_is_what_readers_expect(lake):
    lake.publish(lake.append((3, "x")))
    revert(lake.path, 1, WHY)
    (info,) = [a["commitInfo"] for a in read_commit(lake.path, 2) if "commitInfo" in a]
    assert (info["operation"], info["operationParameters"]) == ("REVERT", {"version": "1"})
    assert json.loads(info["userMetadata"]) == WHY
