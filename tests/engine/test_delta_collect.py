"""What dead branches leave behind goes; what anybody needs stays."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from lakehouse.delta import CollectRefused, collect, drop_branch, fast_forward, latest_version, open_branch, store
from lakehouse.delta import fate as fates
from lakehouse.delta import publish as publishing
from lakehouse.delta.features import snapshot
from lakehouse.delta.log import LogIncomplete, commit_file
from lakehouse.delta.record import BranchRefused
from lakehouse.delta.retention import RetentionUnknown, retention
from tests.deltas import SPEC, Lake, new_file, work

DAY = 86400
NOTHING = timedelta(0)


@pytest.fixture
def lake(root):
    lake = Lake(f"{root}/t")
    branch = lake.append((1, "a"), (2, "b"), name="seed")
    lake.publish(branch, "seed")
    drop_branch(branch)
    return lake


def later(days):
    return time.time() + days * DAY


def test_a_dead_branch_goes_and_nothing_else(lake):
    dead, rows = lake.append((3, "dead")), lake.rows()
    told = collect(lake.path, timedelta(hours=1), now=later(1))
    assert (told.branches, told.waiting) == (1, 0)
    assert told.files == 5  # record, two commits, checksum, data
    assert {name.split("/")[0] for name in lake.files()} == {"seed"}
    assert lake.rows() == rows
    with pytest.raises(BranchRefused):
        lake.publish(dead)
    assert collect(lake.path, NOTHING, now=later(1)).files == 0


def test_a_rehearsal_tells_and_deletes_nothing(lake):
    lake.append((3, "dead"))
    lake.publish(lake.append((4, "published, not dropped")))
    store.replace(f"{lake.path}/_branch/zombie/1/part-0.parquet", b"0123")
    before = lake.files()
    told = collect(lake.path, timedelta(hours=1), dry_run=True, now=later(1))
    assert lake.files() == before
    assert told == collect(lake.path, timedelta(hours=1), now=later(1))
    assert lake.files() < before


def test_a_live_branch_is_left_alone(lake):
    live = lake.append((3, "live"))
    store.replace(f"{live.path}/orphan-of-a-failed-task.parquet", b"x")
    before = lake.files()
    assert collect(lake.path, timedelta(hours=1)).files == 0
    assert lake.files() == before
    assert lake.publish(live).version == 1


def test_a_branch_that_is_worked_on_is_not_old(lake):
    """The record is two days old, the last file is not."""
    live = lake.append((3, "live"))
    if not live.path.startswith("/"):
        pytest.skip("S3 tells no other time than its own")
    for name in Path(live.path).iterdir():
        os.utime(name, (later(-2), later(-2)))
    store.replace(f"{live.path}/fresh.parquet", b"x")
    assert collect(lake.path, timedelta(days=1)).branches == 0
    assert lake.publish(live).version == 1


def test_what_time_travel_may_read_stays_for_its_retention(lake):
    lake.publish(lake.rewrite(lambda rows: [(i, v.upper()) for i, v in rows]), "upper")
    assert collect(lake.path, NOTHING, now=later(6)).waiting == 1  # Published, not dropped.
    assert lake.rows(0) == [(1, "a"), (2, "b")]
    lake.publish(lake.append((3, "c")), "next")
    kept = lake.data()
    assert collect(lake.path, NOTHING, now=later(6)).waiting == 1
    assert lake.data() == kept
    assert (lake.rows(0), lake.rows(1)) == ([(1, "a"), (2, "b")], [(1, "A"), (2, "B")])
    collect(lake.path, NOTHING, now=later(8))
    assert len(kept - lake.data()) == 1, "the file that version 0 read and version 1 replaced"
    assert lake.rows() == [(1, "A"), (2, "B"), (3, "c")]


def test_change_feed_files_stay_for_the_retention(lake):
    branch = lake.branch("clone")
    changes = f"{branch.path}/_change_data/cdc-1.parquet"
    store.replace(changes, b"x")
    cdc = {"path": "_change_data/cdc-1.parquet", "partitionValues": {}, "size": 1, "dataChange": False}
    work(branch, new_file(branch.path, [(3, "c")]), {"cdc": cdc})
    lake.publish(branch)
    drop_branch(branch)
    lake.publish(lake.append((4, "d")))
    collect(lake.path, NOTHING, now=later(6))
    assert store.exists(changes)
    collect(lake.path, NOTHING, now=later(8))
    assert not store.exists(changes)


@pytest.mark.long(7)
def test_checkpoints_remember_what_commits_no_longer_tell(lake):
    lake.publish(lake.rewrite(lambda rows: [(i, v.upper()) for i, v in rows]), "upper")
    for n in range(2, 11):
        branch = lake.append((n + 10, "x"))
        lake.publish(branch)
        drop_branch(branch)
    assert store.exists(f"{lake.path}/_delta_log/{10:020}.checkpoint.parquet")
    for n in range(10):
        store.delete(commit_file(lake.path, n))
    kept, rows = lake.data(), lake.rows()
    collect(lake.path, NOTHING, now=later(6))
    assert lake.data() == kept
    collect(lake.path, NOTHING, now=later(8))
    assert len(kept - lake.data()) == 1
    assert lake.rows() == rows


def test_a_log_with_a_hole_is_refused(lake):
    for n in range(2):
        lake.publish(lake.append((n, "x")))
    store.delete(commit_file(lake.path, 1))
    before = lake.data()
    with pytest.raises(LogIncomplete):
        collect(lake.path, NOTHING, now=later(100))
    assert lake.data() == before


def test_files_that_a_zombie_wrote_after_the_drop_go(lake):
    branch = lake.append((3, "x"))
    drop_branch(branch)
    assert not [name for name in lake.files() if not name.startswith("seed/")]
    store.replace(f"{branch.path}/part-late.parquet", b"x")
    assert collect(lake.path, timedelta(hours=1)).files == 0
    assert collect(lake.path, timedelta(hours=1), now=later(1)).files == 1


class Asleep(Exception):
    """The publisher stands still just before its commit; the test goes on for it."""


def sleeping_publisher(lake, branch, monkeypatch):
    """A publisher that has taken its last look and not committed yet; calling what comes back lets it go on."""
    real = store.put_if_absent

    def put(path, data):
        if path.startswith(f"{lake.path}/_delta_log/"):
            held.append((path, data))
            raise Asleep
        return real(path, data)

    held = []
    with monkeypatch.context() as patch:
        patch.setattr(publishing.store, "put_if_absent", put)
        with pytest.raises(Asleep):
            lake.publish(branch)
    return lambda: real(*held[0])


def test_a_publisher_that_sleeps_before_its_commit_loses_no_data(lake, monkeypatch):
    """The drop comes, then any number of collections, then the commit."""
    branch = lake.append((3, "late"))
    wake = sleeping_publisher(lake, branch, monkeypatch)
    assert drop_branch(branch) is False
    for _ in range(3):
        assert collect(lake.path, NOTHING, now=later(30)).waiting == 1
    assert wake() is True
    assert lake.rows() == [(1, "a"), (2, "b"), (3, "late")]
    collect(lake.path, NOTHING, now=later(60))
    assert lake.rows() == [(1, "a"), (2, "b"), (3, "late")]


def test_once_the_table_went_on_the_sleeper_is_barred_and_its_data_go(lake, monkeypatch):
    branch = lake.append((3, "late"))
    wake = sleeping_publisher(lake, branch, monkeypatch)
    collect(lake.path, NOTHING, now=later(30))
    other = lake.append((4, "other"))
    lake.publish(other)
    assert collect(lake.path, NOTHING, now=later(30)).branches == 1
    assert store.names(branch.path) == []
    assert wake() is False
    with pytest.raises(BranchRefused):
        lake.publish(branch)
    assert lake.rows() == [(1, "a"), (2, "b"), (4, "other")]


def test_a_branch_in_a_folder_with_published_data_takes_only_its_own(lake):
    for n in (3, 4):
        branch = lake.append((n, "kept"), name="same")
        lake.publish(branch)
        drop_branch(branch)
    lake.publish(lake.append((5, "goes on"), name="other"))
    lake.append((6, "dead"), name="same")
    assert collect(lake.path, timedelta(hours=1), now=later(1)).files > 0
    assert [i for i, _ in lake.rows()] == [1, 2, 3, 4, 5]
    again = lake.append((7, "dropped"), name="same")
    assert drop_branch(again) is True
    assert [i for i, _ in lake.rows()] == [1, 2, 3, 4, 5]


def test_a_table_that_was_never_published(root):
    lake = Lake(f"{root}/new")
    lake.append((1, "dead"))
    assert collect(lake.path, NOTHING, now=later(1)).branches == 1
    assert lake.files() == set()
    assert collect(f"{root}/nothing", NOTHING).branches == 0


def test_an_age_in_the_future_is_refused(lake):
    with pytest.raises(CollectRefused):
        collect(lake.path, timedelta(hours=-1))


@pytest.mark.parametrize(
    ("told", "days"),
    [(None, 7), ("interval 1 hour", 7), ("interval 30 days", 30), ("2 weeks", 14), ("INTERVAL 240 HOURS", 10)],
)
def test_retention_is_never_below_a_week(tmp_path, told, days):
    properties = {} if told is None else {"delta.deletedFileRetentionDuration": told}
    spec = type(SPEC)(SPEC.columns, properties=properties)
    fast_forward(open_branch(f"{tmp_path}/t", f"{tmp_path}/t/_branch/b/1", spec, "append"), "x", 1, {})
    assert retention(snapshot(f"{tmp_path}/t", 0)) == timedelta(days=days)


def test_a_retention_that_is_none_is_told(tmp_path):
    spec = type(SPEC)(SPEC.columns, properties={"delta.deletedFileRetentionDuration": "a while"})
    fast_forward(open_branch(f"{tmp_path}/t", f"{tmp_path}/t/_branch/b/1", spec, "append"), "x", 1, {})
    with pytest.raises(RetentionUnknown, match="a while"):
        retention(snapshot(f"{tmp_path}/t", 0))


def test_fates_say_what_they_should(lake):
    dropped, begun = lake.append((3, "x")), lake.append((4, "y"))
    fates.claim(begun)
    assert (drop_branch(dropped), drop_branch(begun)) == (True, False)
    assert (drop_branch(dropped), drop_branch(begun)) == (True, False)
    (fate,) = [n for n in store.names(begun.path) if n.startswith(fates.FATE)]
    assert json.loads(store.read(f"{begun.path}/{fate}")) == {"word": "drop", "after": latest_version(lake.path)}
    with pytest.raises(BranchRefused):
        fates.claim(begun)
