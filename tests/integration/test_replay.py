"""Loads and quarantined rows once more, without the source; and the books after all of it (ING-8, CON-4, CON-5)."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from lakehouse import ledger, log, paths, quarantine, watermarks
from lakehouse.books import Books, books
from lakehouse.bronze.load import LoadFailed
from lakehouse.cli.main import app
from lakehouse.contracts import load_contract
from lakehouse.delta import latest_version, revert, store
from lakehouse.delta.log import commit_file
from lakehouse.pipeline import publish as publish_step
from lakehouse.pipeline import replay as step
from lakehouse.quality import GateFailed
from tests.integration.conftest import Lakehouse
from tests.integration.test_pipeline import COLUMNS, LATEST, RULES, SILVER, SOURCE, ids, put, things

__all__ = ["things"]

TABLE = "bronze.things"
DAY1, DAY2 = ("2025-10-01", "2025-10-02"), ("2025-10-02", "2025-10-03")
LAX = "- {name: amount_positive, type: custom, engine: sparkSql, implementation: amount IS NULL OR amount > -100}"


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path) -> Any:
    """Logs to a file, as the command line has it: standard output is for answers."""
    log.configure(tmp_path / "lakehouse.jsonl")
    yield
    structlog.reset_defaults()


def run(*words: str, code: int = 0, plain: bool = False) -> Any:
    """What a command answers: from JSON, or as text if `plain`."""
    done = CliRunner().invoke(app, [*words, *([] if plain else ["-o", "json"])], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout if plain else json.loads(done.stdout)


def mend(lake: Lakehouse, rules: str) -> None:
    """Another contract from here on."""
    lake.table(TABLE, COLUMNS, SOURCE % (lake.source, "things_max_ts"), rules=rules)  # type: ignore[attr-defined]


def balanced() -> Books:
    found = books(TABLE)
    assert found.faults == ()
    assert found.total.difference == 0
    return found


def state(lake: Lakehouse) -> tuple[Any, ...]:
    return lake.rows(TABLE), lake.rows("silver.things"), watermarks.store().all()


@pytest.mark.long(35)
def test_a_reverted_load_comes_back_from_its_landing_files(things: Lakehouse) -> None:
    """ING-8: as a load of its own, once, however often; the source has nothing any more."""
    put(things, (1, "2025-10-01 10:00:00", 1, "a"), (2, "2025-10-01 11:00:00.000001", -2, "b"))
    (first,) = things.run(TABLE, *DAY1)
    put(things, (3, "2025-10-02 10:00:00", 3, "c"))
    things.run(TABLE, *DAY2)
    before = things.rows(TABLE)
    things.snowflake(f"DROP TABLE {things.source}")  # type: ignore[attr-defined]
    revert(paths.table(TABLE), 1, {})
    assert ids(things) == [1]
    assert {load.state for load in balanced().loads} == {"published", "reverted"}
    (row,) = run("replay", "things", "--start", "2025-10-02", "--end", "2025-10-02")
    assert (row["new"], things.rows(TABLE)) == (1, before)
    version = latest_version(paths.table(TABLE))
    # The first day's landing too, by its batch's id; nothing of it is new.
    (row,) = run("replay", TABLE, "--batch", first.batch_id[:8])
    assert (row["new"], row["duplicates"], row["quarantined"]) == (0, 2, 0)
    run("replay", TABLE, "--batch", first.batch_id)
    assert (things.rows(TABLE), latest_version(paths.table(TABLE))) == (before, version)
    assert [load.kind for load in balanced().loads] == ["scheduled"] * 2 + ["replay"] * 3
    assert watermarks.store().get("things_max_ts") == datetime(2025, 10, 3, tzinfo=UTC)
    shutil.rmtree(paths.landing(TABLE, first.batch_id, 1))
    with pytest.raises(step.LandingGone, match="load 1"):
        run("replay", TABLE, "--batch", first.batch_id)
    with pytest.raises(step.LoadUnknown):
        run("replay", TABLE, "--batch", "nonsense")


@pytest.mark.long(35)
def test_a_held_load_is_published_by_a_replay_after_its_rule_is_mended(things: Lakehouse) -> None:
    """CON-5: rows that a gate held are in the books as held, and what quarantine took of a failed load as that."""
    rule = RULES + '- {name: few, type: sql, query: "SELECT COUNT(*) FROM ${table}", mustBeLessThan: 2}\n'
    mend(things, rule)
    put(
        things,
        (1, "2025-10-01 10:00:00", 1, "a"),
        (2, "2025-10-01 11:00:00", 2, "b"),
        (3, "2025-10-01 12:00:00", -3, "c"),
    )
    with pytest.raises(GateFailed):
        things.run(TABLE, *DAY1)
    (load,) = balanced().loads
    assert (load.state, load.parts["held"], load.parts["quarantined"]) == ("held", 2, 1)
    mend(things, RULES)
    (row,) = run("replay", TABLE, "--start", DAY1[0], "--end", DAY1[0])
    assert row["new"] == 2
    assert watermarks.store().get("things_max_ts") == datetime(2025, 10, 2, tzinfo=UTC)
    put(things, (4, "2025-10-02 10:00:00", -4, "d"), (5, "2025-10-02 11:00:00", -5, "e"))
    things.snowflake(f"DELETE FROM {things.source} WHERE ID < 4")  # type: ignore[attr-defined]
    with pytest.raises(LoadFailed):
        things.run(TABLE, *DAY2)
    found = {load.state: load for load in balanced().loads}
    assert (found["failed"].extracted, found["failed"].parts["quarantined"]) == (2, 2)
    # One is mended at the source: the next attempt is the same load, and says so of its own rows only.
    things.snowflake(f"UPDATE {things.source} SET AMOUNT = 4 WHERE ID = 4")  # type: ignore[attr-defined]
    things.run(TABLE, *DAY2)
    last = balanced().loads[-1]
    assert (last.state, last.parts["inserted"], last.parts["quarantined"], last.set_aside) == ("published", 1, 1, 2)


class Killed(BaseException):
    """The process died."""


def die_at_published(*events: Any) -> None:
    if events[0].event == "published":
        raise Killed
    ledger.events.append(*events)


@pytest.mark.long(35)
@pytest.mark.parametrize("dies", [False, True])
def test_quarantined_rows_are_judged_again_once_under_todays_contract(
    things: Lakehouse, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CON-4: what passes is published, through the gate, once; what fails stays, with its new reasons."""
    things.table("silver.things", SILVER, "- {property: strategy, value: merge}", LATEST)
    put(
        things,
        (1, "2025-10-01 10:00:00.000001", -1, "ann@x.example"),
        (1, "2025-10-01 12:00:00", 10, "ann@x.example"),
        (2, "2025-10-01 13:00:00", -500, "bob@x.example"),
        (3, "2025-10-01 14:00:00", -3, "eve@x.example"),
        (None, "2025-10-01 15:00:00", 5, "joe@x.example"),
    )
    custom = (SOURCE % (things.source, "things_max_ts")).replace("0.5", "0.9")  # type: ignore[attr-defined]
    things.table(TABLE, COLUMNS, custom, rules=RULES)
    things.run("*", *DAY1)
    assert ids(things) == [1]
    listed = run("quarantine", "list")
    assert [(g["reasons"], g["status"], g["rows"]) for g in listed] == [
        ("amount_positive", "open", 3),
        ("id_not_null", "open", 1),
    ]
    mend(things, LAX)
    if dies:
        # Committed, and nobody could say so: the next one finds it in the table's log, and what failed once more open.
        with monkeypatch.context() as patch:
            patch.setattr(publish_step.ledger, "append", die_at_published)
            with pytest.raises(Killed):
                run("quarantine", "replay", "--table", "things")
        assert balanced().quarantine["replayed"] == 2
    (row,) = run("quarantine", "replay", "--table", "things")
    assert (row["new"], row["duplicates"], row["quarantined"]) == (0 if dies else 2, 0, 2)
    rows = {r["id"]: r for r in things.rows(TABLE) if int(r["amount"]) < 0}
    # As it would have come from the source: microseconds and all; the token is no token of a token.
    assert rows[1]["at"] == datetime(2025, 10, 1, 10, 0, 0, 1, tzinfo=UTC)
    assert rows[1]["who"] == next(r["who"] for r in things.rows(TABLE) if int(r["amount"]) == 10)
    replay = next(load for load in balanced().loads if load.kind == "replay")
    assert {k: v for k, v in replay.parts.items() if v} == {"inserted": 1, "superseded": 1, "quarantined": 2}
    # Older than what is published of its key: in the log, and silver takes the latest.
    things.run("silver.things", *DAY1, run_id="after")
    assert {r["id"]: int(r["amount"]) for r in things.rows("silver.things")} == {1: 10, 3: -3}
    assert balanced().quarantine == {"open": 2, "replayed": 2, "discarded": 0}
    # Again, the rest: nothing more passes, and nothing is there twice; nor after the source sends all of it again.
    before, version = state(things), latest_version(paths.table(TABLE))
    (row,) = run("quarantine", "replay", "--table", TABLE)
    assert (row["new"], row["quarantined"]) == (0, 2)
    things.run("*", *DAY1, kind="backfill")
    assert (state(things), latest_version(paths.table(TABLE))) == (before, version)
    balanced()


@pytest.mark.long(35)
def test_rows_are_given_up_on_record_and_the_gate_holds_a_replay(things: Lakehouse) -> None:
    """CON-4: a discarded row is not replayed; rows of a replay that the gate held are open as before."""
    put(
        things,
        (1, "2025-10-01 10:00:00", 1, "a"),
        (2, "2025-10-01 11:00:00", -2, "b"),
        (3, "2025-10-01 12:00:00", 3, "c"),
    )
    put(things, (4, "2025-10-01 13:00:00", -4, "d"))
    things.run(TABLE, *DAY1)
    (one, two) = run("quarantine", "list", "--rows")
    words = ["quarantine", "discard", "--table", "things", "--id", one["id"], "--reason", "a test order", "--yes"]
    assert "1 rows of bronze.things discarded" in run(*words, plain=True)
    (shown,) = run("quarantine", "show", one["id"][:12])
    assert (shown["status"], shown["verdicts"][0]["reason"]) == ("discarded", "a test order")
    assert shown["verdicts"][0]["who"]
    assert shown["row"]["amount"] < 0
    strict = '- {name: none_below, type: sql, query: "SELECT COUNT(*) FROM ${table} WHERE amount < 0", mustBe: 0}'
    mend(things, f"{LAX}\n{strict}")
    with pytest.raises(GateFailed):
        run("quarantine", "replay", "--table", TABLE)
    assert [row.status for row in quarantine.kept(quarantine.Choice(TABLE))] == ["discarded", "open"]
    assert {load.state: load.parts["held"] for load in balanced().loads} == {"published": 0, "held": 1}
    mend(things, LAX)
    (row,) = run("quarantine", "replay", "--table", TABLE, "--rule", "amount_positive")
    assert row["new"] == 1
    assert ids(things) == sorted([1, 3, json.loads(two["key"])["id"]])
    assert balanced().quarantine == {"open": 0, "replayed": 1, "discarded": 1}
    (found,) = run("books", "--table", "things")
    assert found["balanced"] and found["total"]["difference"] == 0


@pytest.mark.long(35)
def test_two_replays_that_have_a_row_in_common_publish_it_once(
    things: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CON-4, OPS-3: the one that comes second is worked again on the table as it is then."""
    put(things, (1, "2025-10-01 10:00:00", -1, "a"), (2, "2025-10-01 11:00:00", -2, "b"))
    put(things, (3, "2025-10-01 12:00:00", 3, "c"), (4, "2025-10-01 13:00:00", 4, "d"))
    things.run(TABLE, *DAY1)
    mend(things, LAX)
    contract = load_contract(paths.contract_folder(TABLE))
    chosen = quarantine.kept(quarantine.Choice(TABLE, "open"), rows=True)
    publish = step.publish

    def late(batches: Any, redo: Any) -> Any:
        monkeypatch.setattr(step, "publish", publish)
        step.replay_kept(contract, chosen[:1], lambda: b"key", lambda step: None)
        return publish(batches, redo)

    monkeypatch.setattr(step, "publish", late)
    done = step.replay_kept(contract, chosen, lambda: b"key", lambda step: None)
    assert (done.counts["inserted"], done.counts["duplicates"]) == (1, 1)
    assert ids(things) == [1, 2, 3, 4]
    assert balanced().quarantine == {"open": 0, "replayed": 2, "discarded": 0}


@pytest.mark.long(35)
def test_books_that_do_not_balance_are_told(things: Lakehouse) -> None:
    put(things, (1, "2025-10-01 10:00:00", 1, "a"), (2, "2025-10-01 11:00:00", -2, "b"))
    things.run(TABLE, *DAY1)
    balanced()
    shutil.rmtree(paths.ops("quarantine"))
    published = next(e for e in ledger.read(TABLE) if e.event == "published")
    ledger.append(replace(published, load=2, counts={**published.counts, "extracted": 5}))
    (found,) = run("books", "--table", TABLE, code=1)
    assert [fault.partition(": ")[2] for fault in found["faults"]] == [
        "extracted 5, but inserted 1, quarantined 1",
        "the ledger says 2 rows, bronze.things holds 1",
        "the ledger says 1 rows quarantined, quarantine holds 0",
        "the ledger says 1 rows quarantined, quarantine holds 0",
    ]


@pytest.mark.long(35)
def test_books_with_the_log_truncated_to_a_checkpoint(things: Lakehouse) -> None:
    """The ledger is lost too: a load whose counts are gone is counted anew."""
    put(
        things,
        (1, "2025-10-01 10:00:00", 1, "a"),
        (2, "2025-10-01 11:00:00", -2, "b"),
        (1, "2025-10-01 10:00:00", 1, "a"),
    )
    things.run(TABLE, *DAY1)
    put(things, (5, "2025-10-02 20:00:00", 5, "e"))
    things.run(TABLE, *DAY2)
    table = paths.table(TABLE)
    store.delta_table(table).create_checkpoint()
    Path(commit_file(table, 0)).unlink()
    shutil.rmtree(paths.ops("ledger"))
    loads = {load.state: load for load in balanced().loads}
    told = {part: rows for part, rows in loads["uncounted"].parts.items() if rows}
    assert (loads["uncounted"].extracted, told) == (3, {"inserted": 1, "quarantined": 1, "duplicates": 1})
    assert loads["published"].parts["inserted"] == 1
    assert watermarks.store().get("things_max_ts") == datetime(2025, 10, 3, tzinfo=UTC)
    # Its window counts as uncovered: it is asked for again, and nothing is there twice.
    things.run(TABLE, "2025-10-03", "2025-10-04")
    assert ids(things) == [1, 5]
    assert [load.state for load in balanced().loads].count("published") == 2
