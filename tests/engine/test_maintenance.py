"""What is due in a table, told by its log alone; what may go on top of what; what is deleted and what is kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from lakehouse import ledger, manifest, paths
from lakehouse.config import settings
from lakehouse.delta import Branch, PublishConflict, diff, latest_version, store
from lakehouse.delta.replay import files_at
from lakehouse.ledger.events import Event
from lakehouse.maintenance import VacuumRefused, expire_landing, vacuum
from lakehouse.maintenance.due import APPLICATION, due
from lakehouse.maintenance.optimize import ColumnUnknown, optimize, statement
from lakehouse.maintenance.sizes import sizes
from lakehouse.maintenance.tables import OPERATIONAL, selected
from tests.deltas import Lake, new_file, removal, work


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A lake of its own, and nobody who could open a Spark session."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", "")
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.fixture
def lakes(home: Path, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake on each store."""
    monkeypatch.setenv("LAKEHOUSE_LAKE", f"{root}/lake")
    settings.cache_clear()


@pytest.fixture
def lake(home: Path) -> Lake:
    return Lake(paths.table("silver.orders"))


def optimized(lake: Lake, columns: tuple[str, ...] = ()) -> int:
    """What `optimize` commits, its work done by hand: every file into one."""
    base = latest_version(lake.path)
    branch = lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE")
    return lake.publish(branch, APPLICATION, base + 1, expected=None, metadata={APPLICATION: list(columns)})


def removal_of(lake: Lake, index: int) -> dict:
    """A removal, on a branch, of one of the table's files, which changes no row."""
    name = sorted(files_at(lake.path, latest_version(lake.path)).active)[index]
    return {"remove": removal(f"{store.uri(lake.path)}/{name}", data_change=False)}


def test_two_small_files_are_due_and_one_is_not(lake: Lake):
    lake.seed(1)
    assert due(lake.path, ()).due == ()
    lake.publish(lake.append((2, "b")))
    found = due(lake.path, ())
    assert (found.due, found.partitions, found.before.files) == (((),), 1, 2)


def test_what_was_optimized_is_due_again_once_a_row_changes(lake: Lake):
    lake.seed(3)
    optimized(lake, ("id",))
    assert due(lake.path, ("id",)).due == ()
    assert optimize("silver.orders", ("id",)).state == "unchanged"
    lake.publish(lake.append((9, "new")))
    assert due(lake.path, ("id",)).due == ((),)


def test_an_optimize_that_rows_came_beside_is_due_again(lake: Lake):
    """The rows of a version between the branch and its commit were not laid out."""
    lake.seed(2)
    base = latest_version(lake.path)
    branch = lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE")
    lake.publish(lake.append((7, "beside")))
    lake.publish(branch, APPLICATION, base + 1, metadata={APPLICATION: []})
    assert due(lake.path, ()).due == ((),)


def test_another_order_is_due(lake: Lake):
    lake.seed(2)
    branch = lake.branch("clone")
    work(branch, removal_of(lake, 0), new_file(branch.path, [(0, "old")], data_change=False))
    lake.publish(branch, APPLICATION, 2, metadata={APPLICATION: ["id"]})
    assert due(lake.path, ("id",)).due == ()
    assert due(lake.path, ("v",)).due == due(lake.path, ()).due == ((),)


def test_large_files_stay_unless_rows_are_to_be_ordered(lake: Lake):
    lake.seed(2)
    assert due(lake.path, (), 10).due == ()
    assert due(lake.path, ("id",), 10).due == ((),)


def test_no_table_and_a_rehearsal_change_nothing(lake: Lake):
    assert optimize("silver.orders", ()).state == "absent"
    lake.seed(2)
    done = optimize("silver.orders", ("id",), dry_run=True)
    assert (done.state, done.version, done.before) == ("planned", 1, done.after)
    assert lake.files() == set()


def test_a_column_that_is_none_is_refused_before_any_work(lake: Lake):
    lake.seed(2)
    with pytest.raises(ColumnUnknown, match=r"ordered by 'colour'.*\n.*id, v, amount"):
        optimize("silver.orders", ("colour",))


def test_rows_added_meanwhile_stay_under_an_optimize(lake: Lake):
    lake.seed(3)
    branch = lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE")
    assert diff(branch).is_neutral
    lake.publish(lake.append((9, "meanwhile")))
    lake.publish(branch)
    assert lake.rows() == [(0, "old"), (1, "old"), (2, "old"), (9, "meanwhile")]
    assert latest_version(lake.path) == 4


def test_files_rewritten_meanwhile_stop_an_optimize(lake: Lake):
    lake.seed(2)
    branch = lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE")
    lake.publish(lake.rewrite(lambda rows: [(i, "merged") for i, _ in rows]))
    with pytest.raises(PublishConflict, match="removed files"):
        lake.publish(branch)
    assert lake.rows() == [(0, "merged"), (1, "merged")]


def test_a_change_of_rows_does_not_go_on_top_of_another(lake: Lake):
    """Only what changes no row at all is let through."""
    lake.seed(2)
    branch = lake.append((5, "mine"))
    assert not diff(branch).is_neutral
    lake.publish(lake.append((6, "theirs")))
    with pytest.raises(PublishConflict, match="changed rows"):
        lake.publish(branch)


def test_partitions_are_chosen_by_quoted_values():
    text = statement("delta.`/x`", ("day", "kind"), [("2025-10-01", None), ("o'clock", "a`b")], ("id", "odd`name"))
    assert text == (
        "OPTIMIZE delta.`/x` WHERE (`day` = '2025-10-01' AND `kind` IS NULL)"
        " OR (`day` = 'o\\'clock' AND `kind` = 'a`b') ZORDER BY (`id`, `odd``name`)"
    )
    assert statement("delta.`/x`", (), [()], ()) == "OPTIMIZE delta.`/x`"


def test_sizes_fall_into_buckets():
    found = sizes([{"size": 1}, {"size": 1 << 20}, {"size": 5 << 30}])
    assert (found.files, found.bytes) == (3, 1 + (1 << 20) + (5 << 30))
    assert found.histogram == {"<1M": 1, "<16M": 1, "<128M": 0, "<1G": 0, ">=1G": 1}


def test_upkeep_is_for_streamed_tables_too():
    tables = manifest.load()
    assert set(selected(tables, "*")) == {*(entry.name for entry in tables.entries), *OPERATIONAL}
    assert "bronze.shop_events" in selected(tables, "bronze.*")
    assert selected(tables, "gold.dim_date") == ["gold.dim_date"]


def test_vacuum_below_a_week_is_refused(lake: Lake):
    lake.seed(1)
    with pytest.raises(VacuumRefused, match="168 hours or more"):
        vacuum("silver.orders", 167)


def test_vacuum_asks_no_spark_where_nothing_is_to_go(lake: Lake):
    lake.seed(2)
    lake.publish(lake.append((4, "on a branch")))
    assert vacuum("silver.orders") == 0
    assert vacuum("silver.absent") == 0


def test_vacuum_finds_what_somebody_left_long_ago(lake: Lake):
    lake.seed(2)
    lake.publish(lake.append((4, "on a branch")))
    old = time.time() - 9 * 24 * 3600
    for file in (*Path(lake.path).rglob("*.parquet"), Path(lake.path) / "stray.parquet"):
        file.touch()
        os.utime(file, (old, old))
    (Path(lake.path) / "fresh.parquet").touch()
    assert vacuum("silver.orders", dry_run=True) == 1


def test_landing_goes_only_after_its_load_was_published_and_is_old(lakes: None):
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    days = {"old": 100, "young": 10, "open": 100}
    for batch, age in days.items():
        name = "started" if batch == "open" else "published"
        moment = at - timedelta(days=age)
        ledger.append(Event(name, "bronze.orders", batch, 1, "a", "r", "scheduled", event_ts=moment))
    for batch in (*days, "unknown"):
        store.replace(f"{paths.landing('bronze.orders', batch, 1)}/part.parquet", b"rows")
    assert expire_landing("bronze.orders", timedelta(days=90), dry_run=True, at=at) == 1
    assert expire_landing("bronze.orders", timedelta(days=90), at=at) == 1
    assert expire_landing("bronze.orders", timedelta(days=90), at=at) == 0
    left = {batch for batch in (*days, "unknown") if store.names(paths.landing("bronze.orders", batch, 1))}
    assert left == {"young", "open", "unknown"}


def test_loads_and_upkeep_at_once_lose_and_double_nothing(lake: Lake):
    """An appender, a writer that replaces every file, and an upkeep that never rests, each on branches of its own."""
    lake.seed(1)
    done, laid_out, failed = threading.Event(), [0], []

    def until_published(tag: str, work_on: Callable[[Lake], Branch]) -> None:
        mine = Lake(lake.path, tag)
        while True:
            try:
                mine.publish(work_on(mine))
            except PublishConflict:
                continue
            return

    def appends() -> None:
        for n in range(100, 125):
            until_published(f"a{n}", lambda mine, n=n: mine.append((n, "appended")))

    def merges() -> None:
        for n in range(200, 210):
            until_published(f"m{n}", lambda mine, n=n: mine.rewrite(lambda rows: [*rows, (n, "merged")]))

    def upkeep() -> None:
        while not done.is_set():
            mine = Lake(lake.path, f"o{uuid4().hex}")
            try:
                laid_out[0] += not mine.publish(mine.rewrite(lambda rows: rows, data_change=False)).empty
            except PublishConflict:
                continue

    def guarded(work_on: Callable[[], None]) -> None:
        try:
            work_on()
        except BaseException as error:
            failed.append(error)
            done.set()

    loads = [threading.Thread(target=guarded, args=(work_on,)) for work_on in (appends, merges)]
    keeper = threading.Thread(target=guarded, args=(upkeep,))
    for thread in (*loads, keeper):
        thread.start()
    for thread in loads:
        thread.join(120)
    done.set()
    keeper.join(60)
    assert failed == []
    assert laid_out[0] > 0
    expected = [(0, "old"), *((n, "appended") for n in range(100, 125)), *((n, "merged") for n in range(200, 210))]
    assert lake.rows() == expected
