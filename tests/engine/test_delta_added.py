"""What a branch says besides its log: a table of the files that it adds, and, of a new one, that it has none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lakehouse.delta import (
    ColumnSpec,
    added_rows,
    commit_metadata,
    data_version,
    diff,
    drop_branch,
    open_branch,
    statistics,
    store,
    table_id,
)
from lakehouse.delta.log import commit_file, encode, read_commit
from tests.deltas import SPEC, Lake, new_file, work


@pytest.fixture
def lake(root):
    lake = Lake(f"{root}/t d")
    lake.publish(lake.append((1, "a"), (2, "b")))
    return lake


def test_it_has_new_files_alone_and_goes_with_the_branch(lake):
    branch = lake.branch("clone")
    work(branch, new_file(branch.path, [(3, "c")]), new_file(branch.path, [(4, "d"), (5, "e")]))
    change = diff(branch)
    path = added_rows(branch, change.added)
    assert (statistics(branch.path).rows, statistics(path).rows) == (5, 3)
    files = [store.relative(lake.path, a["add"]["path"]) for a in read_commit(path, 0) if "add" in a]
    assert sorted(files) == sorted(content["path"] for content in change.added)
    assert all(store.exists(f"{lake.path}/{store.decoded(name)}") for name in files)
    # A gate that is asked again finds the same table.
    first = table_id(path, 0)
    assert added_rows(branch, change.added) == path and table_id(path, 0) == first
    lake.publish(branch)
    drop_branch(branch)
    assert not store.exists(f"{path}/_delta_log/{0:020}.json")
    assert lake.rows() == [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]


def test_a_branch_that_only_takes_away_adds_none(lake):
    branch = lake.rewrite(lambda rows: rows)
    path = added_rows(branch, ())
    assert (statistics(path).rows, statistics(path).bytes) == (0, 0)


def test_the_version_whose_rows_a_version_has(lake):
    lake.publish(lake.append((3, "c")))
    lake.publish(lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE"))
    assert [data_version(lake.path, version) for version in (0, 1, 2)] == [0, 1, 1]
    # A checkpoint alone does not tell what its commit did.
    store.replace(f"{lake.path}/_delta_log/{1:020}.checkpoint.parquet", b"")
    store.delete(commit_file(lake.path, 1))
    assert data_version(lake.path, 2) is None


def test_what_somebody_else_said_of_a_commit_is_not_ours(lake):
    store.replace(commit_file(lake.path, 0), encode([{"commitInfo": {"userMetadata": "by hand"}}]))
    assert commit_metadata(lake.path, 0) is None


@pytest.mark.parametrize("grown", [False, True])
def test_a_new_branch_says_that_it_is_empty(lake, grown):
    """Delta's checksum of the last commit: Spark refuses one that is not what the log says."""
    spec = replace(SPEC, columns=(*SPEC.columns, ColumnSpec("more", "BIGINT"))) if grown else SPEC
    branch = open_branch(lake.path, f"{lake.path}/_branch/new/1", spec, "append")
    said = json.loads(store.read(f"{branch.path}/_delta_log/{branch.start + grown:020}.crc"))
    log = [action for version in range(branch.start + grown + 1) for action in read_commit(branch.path, version)]
    assert said["metadata"] == [a["metaData"] for a in log if "metaData" in a][-1]
    assert said["protocol"] == [a["protocol"] for a in log if "protocol" in a][-1]
    assert (said["numFiles"], said["tableSizeBytes"], said["allFiles"]) == (0, 0, [])
    # One with files says nothing: it would have to count them.
    assert not [name for name in store.names(f"{lake.branch('clone').path}/_delta_log") if name.endswith(".crc")]
