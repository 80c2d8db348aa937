"""The published watermark: what it follows, what people may say of it, and what comes back when things are lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from lakehouse import config, ledger, log, paths, watermarks
from lakehouse.cli import confirm
from lakehouse.cli.main import app
from lakehouse.contracts import load_contract
from lakehouse.delta import Branch, drop_branch, latest_version, store
from lakehouse.delta.log import commit_file
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.ledger.state import covered, watermark
from lakehouse.ledger.windows import Window
from lakehouse.manifest import ManifestError, compile_manifest, folders
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.events import event_of
from lakehouse.pipeline.extract import source_of
from lakehouse.pipeline.plan import due_windows
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.reconcile import reconciled_events
from lakehouse.pipeline.watermark import WatermarkRefused, follow, set_watermark
from lakehouse.watermarks.sqlite import SqliteStore, StoreBroken
from tests.deltas import Lake

TABLE, KEY = "bronze.orders", "snowflake_orders_max_ts"
INITIAL = datetime(2025, 8, 31, tzinfo=UTC)
DAY = timedelta(days=1)


def day(n: int) -> datetime:
    return INITIAL + n * DAY


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The contract of bronze.orders, over an empty lake."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("LAKEHOUSE_TABLES", raising=False)
    config.settings.cache_clear()
    # As the command line does it: standard output is for answers.
    log.configure(tmp_path / "lakehouse.jsonl")
    yield load_contract(paths.contract_folder(TABLE))
    structlog.reset_defaults()
    config.settings.cache_clear()


def load(low: int, high: int, *, rows: bool = False, name: str = "", number: int = 1) -> Batch:
    """Load (low, high] and publish it, with a row or empty."""
    run = Run(name or f"r-{low}-{high}", "scheduled", end=day(high), start=day(low))
    windows = (Window(day(low), day(high)),)
    batch = Batch(TABLE, f"b-{low}-{high}", number, f"a-{low}", run, run.end, windows=windows, empty=not rows)
    batch = batch.with_counts(extracted=int(rows), inserted=int(rows))
    ledger.append(event_of(batch, "started"))
    if rows:
        batch = replace(batch, branch=Lake(paths.table(TABLE)).append((high, "x"), name=batch.batch_id).to_json())
    (done,) = publish([replace(batch, audited=None)] if rows else [batch], lambda b, c: b)  # type: ignore[arg-type]
    return done


def due(n: int) -> tuple[Window, ...]:
    """What the run of day `n` loads."""
    run = Run(f"due-{n}", "scheduled", end=day(n), start=day(n - 1))
    return due_windows(source_of(load_contract(paths.contract_folder(TABLE))), run, reconciled_events(TABLE))


def stored() -> datetime | None:
    return watermarks.store().get(KEY)


def run(*words: str, code: int = 0, **options: Any) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False, **options)
    assert done.exit_code == code, done.output
    return done.stdout


#: What else may be lost together with the store, or in its place.
every_loss = pytest.mark.parametrize("lost", ["store", "events of a load", "ledger"])


def test_back_reopens_and_forward_skips_on_record(orders: Any) -> None:
    """ING-3, ING-4: only a recorded set moves the copy back."""
    load(0, 5)
    assert follow(orders) == stored() == day(5)
    back = set_watermark(orders, day(2), "ann", "the source was wrong")
    assert back and (back.event, back.windows) == ("reopened", (Window(day(2), day(5)),))
    assert follow(orders) == stored() == day(2)
    load(2, 4)
    assert follow(orders) == day(4)
    forward = set_watermark(orders, day(7), "bob", "nothing was sold")
    assert forward and (forward.event, forward.windows) == ("skipped", (Window(day(4), day(7)),))
    assert stored() == day(7)
    assert [json.loads(e.detail) for e in ledger.read(TABLE) if e.kind == "set"] == [
        {"by": "ann", "reason": "the source was wrong", "from": day(5).isoformat(), "to": day(2).isoformat()},
        {"by": "bob", "reason": "nothing was sold", "from": day(4).isoformat(), "to": day(7).isoformat()},
    ]
    assert set_watermark(orders, day(7), "bob", "again") is None


def test_mark_without_data(orders: Any) -> None:
    """A copy ahead of what was loaded stays until somebody says so, and no run believes it: all that lacks is due."""
    load(0, 3)
    watermarks.store().update(KEY, lambda held: day(9))
    assert due(10) == (Window(day(3), day(10)),)
    assert follow(orders) == day(9)
    assert set_watermark(orders, day(3), "ann", "a wrong hand was at it")
    assert stored() == day(3)


@pytest.mark.parametrize(
    ("value", "reason", "what"),
    [(day(-1), "x", "before the initialValue"), (day(20000), "x", "in the future"), (day(1), " ", "without a reason")],
)
def test_a_watermark_that_makes_no_sense_is_refused(orders: Any, value: datetime, reason: str, what: str) -> None:
    with pytest.raises(WatermarkRefused, match=what):
        set_watermark(orders, value, "ann", reason)
    assert ledger.read(TABLE) == []


def test_a_stale_writer_does_not_undo_a_recorded_set(orders: Any) -> None:
    """It decided before the set and wrote after it: the next look puts it right."""
    load(0, 5)
    follow(orders)
    set_watermark(orders, day(2), "ann", "x")
    watermarks.store().update(KEY, lambda held: day(5))
    assert follow(orders) == day(2)


def test_a_key_or_a_store_that_does_not_exist_is_named(orders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LakehouseError, match="no table 'nonsense'") as told:
        run("watermarks", "show", "nonsense")
    assert KEY in told.value.remedy
    with pytest.raises(LakehouseError, match="is computed"):
        run("intervals", "--table", "silver.orders")
    monkeypatch.setattr(watermarks, "settings", lambda: replace(config.settings(), watermark_store="paper"))
    with pytest.raises(ConfigError, match="paper"):
        watermarks.store()
    monkeypatch.setattr(watermarks, "settings", lambda: replace(config.settings(), watermark_store="ssm"))
    assert isinstance(watermarks.store(), watermarks.SsmStore)


def test_a_store_that_is_none_names_its_remedy(tmp_path: Path) -> None:
    """ING-3: it holds nothing that the ledger does not tell."""
    file = tmp_path / "broken" / "watermarks.db"
    file.parent.mkdir()
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreBroken, match=r"watermarks\.db cannot be read as a store") as told:
        SqliteStore(file)
    assert "watermarks rebuild" in told.value.remedy


def test_text_that_is_no_moment_counts_as_none_and_is_written_anew(orders: Any) -> None:
    load(0, 3)
    follow(orders)
    embedded = watermarks.store()
    assert isinstance(embedded, watermarks.SqliteStore)
    with embedded._connection() as db:
        db.execute("UPDATE watermark SET value = 'hello'")
    assert (embedded.get(KEY), embedded.all()) == (None, {})
    rows = {row["key"]: row for row in json.loads(run("watermarks", "rebuild", "-o", "json"))}
    assert (rows[KEY]["stored"], rows[KEY]["state"]) == (day(3).isoformat(), "ok")


@every_loss
def test_store_lost(orders: Any, lost: str) -> None:
    """ING-3: whatever is lost comes back from ledger and tables; the source is not read from zero."""
    rebuild(lost, truncated=False)
    assert due(13) == (Window(day(12), day(13)),)


@every_loss
def test_rebuild_with_the_log_truncated_to_a_checkpoint(orders: Any, lost: str) -> None:
    rebuild(lost, truncated=True)


def rebuild(lost: str, *, truncated: bool) -> None:
    for n in range(12):
        load(n, n + 1, rows=True)
    follow(load_contract(paths.contract_folder(TABLE)))
    table = paths.table(TABLE)
    assert latest_version(table) == 11
    if truncated:
        # A checkpoint stands for all versions up to 10; the commits below it are gone.
        for version in range(11):
            Path(commit_file(table, version)).unlink()
    if lost == "store":
        watermarks.store().path.unlink()  # type: ignore[attr-defined]
    elif lost == "ledger":
        shutil.rmtree(paths.ops("ledger"))
    else:
        before = store.delta_table(paths.ops("ledger")).version() - 2
        store.delta_table(paths.ops("ledger")).restore(before)
        assert len([e for e in ledger.read(TABLE) if e.event == "published"]) == 11
    known = 12 if not (truncated and lost == "ledger") else 0
    rows = json.loads(run("watermarks", "rebuild", "-o", "json", code=0 if known else 1))
    row = next(row for row in rows if row["key"] == KEY)
    assert row["stored"] == day(12).isoformat()
    assert row["state"] == ("ok" if known else "ahead")
    assert len([e for e in ledger.read(TABLE) if e.event == "published"]) == 12
    if known:
        assert covered(ledger.read(TABLE)) == [Window(day(0), day(12))]
    else:
        # Of eleven commits only their transactions are left: their windows count as uncovered and load again.
        assert covered(ledger.read(TABLE)) == [Window(day(11), day(12))]
    assert reconciled_events(TABLE) == ledger.read(TABLE)


def test_a_load_whose_events_are_lost_is_not_taken_for_the_next(orders: Any) -> None:
    """The same window again is load 2: as load 1 it would count as published already, and its rows be lost."""
    load(0, 1, rows=True)
    shutil.rmtree(paths.ops("ledger"))
    events = reconciled_events(TABLE)
    assert ledger.state.next_load(events, "b-0-1") == 2
    (event,) = events
    assert (event.run_id, event.kind, event.version, event.counts["inserted"]) == ("r-0-1", "scheduled", 0, 1)
    load(0, 1, rows=True, number=2)
    shutil.rmtree(paths.ops("ledger"))
    assert [(e.load, e.version) for e in reconciled_events(TABLE)] == [(1, 0), (2, 1)]
    assert watermark(ledger.read(TABLE), INITIAL) == day(1)


def published() -> list[tuple[int, int]]:
    """(version, rows inserted) of each publish on record."""
    return [(e.version, e.counts["inserted"]) for e in ledger.read(TABLE) if e.event == "published"]


def forget_the_last_event() -> None:
    """As if its process had died a moment before."""
    last = store.delta_table(paths.ops("ledger"))
    last.restore(last.version() - 1)


def test_of_two_runs_that_work_one_load_the_one_that_committed_is_on_record(orders: Any) -> None:
    """CON-5: one looked a moment too early and found nothing new."""
    load(0, 1)
    load(0, 1, rows=True)
    assert published() == [(0, 1)]
    forget_the_last_event()
    assert published() == [(-1, 0)]
    assert [e.version for e in reconciled_events(TABLE) if e.event == "published"] == [0]
    assert published() == [(0, 1)]
    assert reconciled_events(TABLE) == ledger.read(TABLE)


def test_a_load_that_finds_its_rows_committed_puts_their_commit_on_record(orders: Any) -> None:
    """ING-3, CON-5: worked again by whoever does not know, it finds all rows there and none new."""
    load(0, 1, rows=True)
    forget_the_last_event()
    assert published() == []
    load(0, 1)
    assert published() == [(0, 1)]
    assert reconciled_events(TABLE) == ledger.read(TABLE)


def test_a_branch_that_an_attempt_before_dropped_is_worked_again(orders: Any) -> None:
    """It had met a conflict, and died before it published what it worked again."""
    run = Run("r", "scheduled", end=day(1), start=day(0))
    lake = Lake(paths.table(TABLE))

    def worked(name: str) -> Batch:
        made = Batch(TABLE, "b", 1, name, run, run.end, branch=lake.append((1, "x"), name=name).to_json())
        return replace(made, audited=None)  # type: ignore[arg-type]

    first = worked("one")
    drop_branch(Branch.from_json(first.branch))
    (done,) = publish([first], lambda batch, candidates: worked("two"))
    assert done.attempt == "two"
    assert latest_version(paths.table(TABLE)) == 0


def test_the_command_line_lists_shows_and_asks(orders: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load(0, 2)
    load(3, 4)
    rows = {row["key"]: row for row in json.loads(run("watermarks", "list", "-o", "json"))}
    assert (rows[KEY]["ledger"], rows[KEY]["stored"], rows[KEY]["state"]) == (day(2).isoformat(), None, "missing")
    assert len(rows) >= 5
    run("watermarks", "rebuild")
    with pytest.raises(confirm.NotConfirmed, match="no terminal"):
        run("watermarks", "set", KEY, day(1).isoformat(), "--reason", "x")
    with monkeypatch.context() as patch:
        patch.setattr(confirm, "on_terminal", lambda: True)
        with pytest.raises(confirm.NotConfirmed, match="Nothing was changed"):
            run("watermarks", "set", KEY, day(1).isoformat(), "--reason", "x", input="n\n")
    assert stored() == day(2)
    assert "reopened" in run("watermarks", "set", "orders", day(1).isoformat(), "--reason", "late prices", "--yes")
    assert stored() == day(1)
    (shown,) = json.loads(run("watermarks", "show", TABLE, "-o", "json"))
    assert json.loads(shown["set"][0]["said"])["reason"] == "late prices"
    assert "late prices" in run("watermarks", "show", KEY)
    assert "already" in run("watermarks", "set", KEY, day(1).isoformat(), "--reason", "x", "--yes")
    assert run("watermarks", "set", KEY, day(2).isoformat(), code=2) == ""


def test_intervals_on_the_command_line(orders: Any) -> None:
    load(0, 2)
    load(3, 4)
    batch = replace(load(4, 5), batch_id="open", windows=(Window(day(5), day(6)),))
    ledger.append(event_of(batch, "started"))
    rows = json.loads(run("intervals", "--table", "orders", "-o", "json"))
    assert [(row["state"], row["low"], row["high"]) for row in rows] == [
        ("covered", day(0).isoformat(), day(2).isoformat()),
        ("gap", day(2).isoformat(), day(3).isoformat()),
        ("covered", day(3).isoformat(), day(5).isoformat()),
        ("gap", day(5).isoformat(), day(6).isoformat()),
        ("open", day(5).isoformat(), day(6).isoformat()),
    ]
    assert rows[-1]["batch_id"] == "open"


def test_two_tables_with_one_key_are_refused(orders: Any, tmp_path: Path) -> None:
    tables = tmp_path / "tables" / "bronze"
    for name in ("orders", "products"):
        shutil.copytree(paths.contract_folder(f"bronze.{name}"), tables / name)
    contract = tables / "products" / "contract.odcs.yaml"
    contract.write_text(contract.read_text().replace("snowflake_products_max_ts", KEY))
    with pytest.raises(ManifestError, match=f"the watermark key {KEY} in common"):
        compile_manifest(folders(tmp_path / "tables"))
