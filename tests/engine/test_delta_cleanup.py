"""Checkpoints and the clean-up of the log: what is asked of the log afterwards is answered as before."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from lakehouse.delta import PublishConflict, drop_branch, latest_version, open_branch, store, transaction_version
from lakehouse.delta.log import LogIncomplete, commit_file, committed_at, log_folder, versions
from lakehouse.delta.replay import active_files
from tests.deltas import SPEC, Lake, new_file, work

DAY = 86400


@pytest.fixture
def lake(tmp_path):
    return Lake(f"{tmp_path}/t")


def publish_many(lake, first, last):
    for n in range(first, last + 1):
        branch = lake.append((n, "x"))
        lake.publish(branch, f"batch-{n}")
        drop_branch(branch)


def age(lake, last, days=40):
    """The log's files up to version `last` are so old."""
    then = time.time() - days * DAY
    for file in Path(log_folder(lake.path)).iterdir():
        if file.name[:20].isdigit() and int(file.name[:20]) <= last:
            os.utime(file, (then, then))


def test_a_checkpoint_every_ten_versions(lake):
    publish_many(lake, 0, 21)
    names = store.names(log_folder(lake.path))
    assert sorted(int(n[:20]) for n in names if "checkpoint.parquet" in n) == [10, 20]
    assert json.loads(store.read(f"{log_folder(lake.path)}/_last_checkpoint"))["version"] == 20


def test_old_commits_go_and_nothing_is_forgotten(lake):
    publish_many(lake, 0, 18)
    age(lake, 15)
    publish_many(lake, 19, 24)
    held = versions(lake.path)
    assert 0 < min(held) <= 15, "some are gone, and what is needed for version 16 is not"
    assert latest_version(lake.path) == 24
    assert transaction_version(lake.path, "batch-0") == 1
    assert committed_at(lake.path, "batch-22", 1, -1) == 22
    assert committed_at(lake.path, "batch-0", 1, -1) is None
    for version in (16, 20, 24):
        assert len(active_files(lake.path, version)) == version + 1
    assert [i for i, _ in lake.rows()] == list(range(25))
    with pytest.raises(LogIncomplete):
        active_files(lake.path, min(held) - 1)


def test_a_batch_whose_commit_is_cleaned_up_is_still_published(lake):
    publish_many(lake, 0, 18)
    age(lake, 18)
    publish_many(lake, 19, 20)
    again = lake.publish(lake.append((0, "again")), "batch-0")
    assert (again.already, len(lake.rows())) == (True, 21)


def test_a_table_of_which_only_a_checkpoint_is_left(lake):
    publish_many(lake, 0, 10)
    for n in range(11):
        store.delete(commit_file(lake.path, n))
    assert latest_version(lake.path) == 10
    assert len(active_files(lake.path, 10)) == 11


def test_a_killed_writer_of_a_checkpoint_in_parts(lake):
    """Half a checkpoint is none."""
    publish_many(lake, 0, 11)
    store.replace(f"{log_folder(lake.path)}/{11:020}.checkpoint.{1:010}.{2:010}.parquet", b"x")
    assert len(active_files(lake.path, 11)) == 12


def test_a_publisher_that_slept_through_the_clean_up_commits_nothing(lake, monkeypatch):
    """Its version is free again: nobody reads a commit there."""
    publish_many(lake, 0, 4)
    late = open_branch(lake.path, f"{lake.path}/_branch/late/1", SPEC, "append")
    work(late, new_file(late.path, [(99, "late")]))
    real = store.put_if_absent

    def put(path, data):
        if path == commit_file(lake.path, 5):
            monkeypatch.setattr(store, "put_if_absent", real)
            publish_many(lake, 5, 18)
            age(lake, 15)
            publish_many(lake, 19, 20)
        return real(path, data)

    monkeypatch.setattr(store, "put_if_absent", put)
    with pytest.raises(PublishConflict, match="cleaned up"):
        lake.publish(late, rebase_appends=True)
    assert not store.exists(commit_file(lake.path, 5))
    assert [i for i, _ in lake.rows()] == list(range(21))
    assert latest_version(lake.path) == 20
