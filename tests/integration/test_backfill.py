"""Ranges once more, in one pass: the same rows as day by day, whatever lies around them, kills and second thoughts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from lakehouse import ledger, log, manifest, paths, watermarks
from lakehouse.backfill import BackfillRefused, records
from lakehouse.cli.main import app
from lakehouse.clock import now
from lakehouse.config import PROJECT
from lakehouse.delta import Branch, RevertRefused, latest_version
from lakehouse.delta.replay import active_files
from lakehouse.ledger.state import covered
from lakehouse.pipeline import run as pipeline
from lakehouse.staleness import stale
from tests.integration.conftest import Lakehouse, lake_at
from tests.integration.test_pipeline import COLUMNS, LATEST, RULES, SILVER, SOURCE, put, things

__all__ = ["things"]

RUNBOOK = PROJECT / "runbooks" / "backfill.md"
PII_KEY = "AIRFLOW_CONN_PII_KEY"
BRONZE, COMPUTED, GOLD = "bronze.things", "silver.things", "gold.things"
MERGE = "- {property: strategy, value: merge}"
DOUBLED = "SELECT id, CAST(amount * 2 AS DECIMAL(18, 2)) AS amount FROM silver.things"
#: A key of every day's own, one that changes daily, and one row that breaks the contract.
DAYS = [
    [(day, f"2025-10-0{day} 10:00:00", day, "own"), (100, f"2025-10-0{day} 12:00:00", 10 * day, "daily")]
    for day in range(1, 5)
]
BAD = (9, "2025-10-02 13:00:00", -1, "bad")


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Logs to a file, as the command line has it: standard output is for answers. One key for those who type and us."""
    monkeypatch.setenv(PII_KEY, json.dumps({"conn_type": "generic", "password": "key"}))
    log.configure(tmp_path / "lakehouse.jsonl")
    yield
    structlog.reset_defaults()


def words(table: str, first: int, last: int, *more: str) -> list[str]:
    days = ["--start", f"2025-10-0{first}", "--end", f"2025-10-0{last}"]
    return ["backfill", "--table", table, *days, *more, "-o", "json"]


def backfill(table: str, first: int, last: int, *more: str) -> Any:
    return say(*words(table, first, last, *more))


def say(*typed: str) -> Any:
    done = CliRunner().invoke(app, [*typed], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def tables(lake: Lakehouse, sql: str = LATEST, gold: bool = False) -> None:
    lake.table(COMPUTED, SILVER, MERGE, sql)
    if gold:
        lake.table(GOLD, SILVER, MERGE, DOUBLED)


def day(lake: Lakehouse, number: int, kind: str = "scheduled") -> None:
    lake.run("*", f"2025-10-0{number}", f"2025-10-0{number + 1}", kind, run_id=f"day/{number}/{kind}")


def content(lake: Lakehouse) -> dict[str, list[dict[str, Any]]]:
    return {entry.name: lake.rows(entry.name) for entry in manifest.load().entries}


def amounts(lake: Lakehouse, table: str = COMPUTED) -> dict[int, int]:
    return {row["id"]: int(row["amount"]) for row in lake.rows(table)}


def versions() -> dict[str, int]:
    return {entry.name: latest_version(paths.table(entry.name)) for entry in manifest.load().entries}


def state(lake: Lakehouse) -> tuple[Any, ...]:
    return content(lake), covered(ledger.read(BRONZE)), watermarks.store().all()


@contextmanager
def another(lake: Lakehouse, home: Path, stand_ins: Path) -> Any:
    """A second lake over the same source."""
    key = os.environ[PII_KEY]
    with lake_at(home, stand_ins) as other:
        os.environ[PII_KEY] = key
        other.table(BRONZE, COLUMNS, SOURCE % (lake.source, "things_max_ts"), rules=RULES)  # type: ignore[attr-defined]
        tables(other)
        yield other


@pytest.mark.long(95)
def test_a_range_killed_and_gone_on_with_is_what_days_are(things: Lakehouse, stand_ins: Path, tmp_path: Path) -> None:
    """In chunks, the first of which is published when the process dies; computed once, after the last."""
    put(things, *[row for rows in DAYS[:3] for row in rows], BAD)
    tables(things)
    for number in (1, 2, 3):
        day(things, number)
    expected = content(things)
    with another(things, tmp_path / "range", stand_ins) as other:
        typed = words("things", 1, 3, "--from", "source", "--chunk-days", "2", "--confirm")
        code = "from lakehouse.cli.main import main; main()"
        environ = {**os.environ, "LAKEHOUSE_KILL_POINT": "batch.recorded"}
        died = subprocess.run([sys.executable, "-c", code, *typed], env=environ, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        (begun,) = say("backfill", "list", "-o", "json")
        assert (begun["state"], len(covered(ledger.read(BRONZE)))) == ("begun", 1)
        rows = say(*typed)
        assert [(row["table"], row["new"]) for row in rows] == [(BRONZE, 2), (COMPUTED, 4)]
        assert content(other) == expected
        published = [e for e in ledger.read(BRONZE) if e.event == "published"]
        assert [len(e.windows) for e in published] == [1, 1], "neither chunk was loaded twice"
        assert sum(e.counts["quarantined"] for e in published) == 1
        (ended,) = say("backfill", "list", "-o", "json")
        assert (ended["backfill"], ended["state"]) == (begun["backfill"], "published")
        # Nothing is left to do: no version, and nothing new to take back.
        before = versions()
        plan = {row["table"]: row["does"] for row in backfill("things", 1, 3, "--from", "source")}
        assert plan == {BRONZE: "nothing", COMPUTED: "compute"}
        backfill("things", 1, 3, "--from", "source", "--confirm")
        assert versions() == before


@pytest.mark.long(120)
def test_the_middle_of_a_history_staged_published_and_taken_back(
    things: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ING-4: a gap below later rows. Their values stay, the watermark goes on over the gap, and back with an undo."""
    put(things, *[row for rows in DAYS for row in rows], BAD)
    tables(things, gold=True)
    day(things, 1)
    day(things, 3, "backfill")
    before, base = state(things), versions()
    assert amounts(things) == {1: 1, 3: 3, 100: 30}
    (bronze, *_) = backfill("things", 1, 3, "--from", "source")
    assert bronze["windows"] == "2025-10-02 00:00 .. 2025-10-03 00:00"
    assert (state(things), versions()) == (before, base), "a plan changes nothing"

    staged = backfill("things", 1, 3, "--from", "source", "--stage", "--confirm")
    assert (content(things), versions()) == (before[0], base)
    by_table = {row["table"]: row for row in staged}
    compared = say("branch", "diff", by_table[COMPUTED]["branch"], "-o", "json")
    found = {row["what"]: row["after"] for row in compared if row["what"].startswith("rows")}
    assert found == {"rows added": 1, "rows removed": 0, "rows changed": 0}
    say("backfill", "publish", by_table[BRONZE]["backfill"], "-o", "json")
    assert amounts(things) == {1: 1, 2: 2, 3: 3, 100: 30}
    assert amounts(things, GOLD) == {key: 2 * value for key, value in amounts(things).items()}
    assert watermarks.store().get("things_max_ts").day == 4  # type: ignore[union-attr]
    say("backfill", "undo", by_table[BRONZE]["backfill"], "--yes", "-o", "json")
    assert state(things) == before

    # Again, unstaged; the daily run publishes the day after while this one is about to.
    publish = pipeline.publish

    def late(batches: Any, redo: Any) -> Any:
        monkeypatch.setattr(pipeline, "publish", publish)
        things.run("*", "2025-10-04", "2025-10-05", "backfill", run_id="daily")
        return publish(batches, redo)

    monkeypatch.setattr(pipeline, "publish", late)
    backfill("things", 1, 3, "--from", "source", "--confirm")
    assert amounts(things) == {1: 1, 2: 2, 3: 3, 4: 4, 100: 40}
    assert watermarks.store().get("things_max_ts").day == 5  # type: ignore[union-attr]


@pytest.mark.long(60)
def test_changed_sql_restates_the_keys_of_the_range_alone(things: Lakehouse) -> None:
    """From what landed, without the source: the rest of the table stays, and stale; a later change bars the undo."""
    put(things, *[row for rows in DAYS[:3] for row in rows])
    tables(things, gold=True)
    things.run("*", "2025-10-01", "2025-10-04")
    before = state(things)
    things.snowflake(f"DROP TABLE {things.source}")  # type: ignore[attr-defined]
    changed = LATEST.replace("SELECT id, amount", "SELECT id, CAST(amount + 1000 AS DECIMAL(18, 2)) AS amount")
    tables(things, changed, gold=True)
    plan = {row["table"]: row["why"] for row in backfill("things", 2, 2)}
    assert plan[COMPUTED] == "keys of the range; the rest stays as it was, and stale, until its next run"
    (first, *_) = backfill(COMPUTED, 2, 2, "--stage", "--confirm")
    assert state(things) == before
    say("backfill", "publish", first["backfill"], "-o", "json")
    assert amounts(things) == {1: 1, 2: 1002, 3: 3, 100: 1030}
    assert amounts(things, GOLD) == {1: 2, 2: 2004, 3: 6, 100: 2060}
    assert "sql" in next(one for one in stale(manifest.load()) if one.table == COMPUTED).reasons
    # The next run computes the rest; then the range is no longer what can be taken back alone.
    things.run("silver.things gold.things", "2025-10-03", "2025-10-04", run_id="next")
    assert amounts(things) == {1: 1001, 2: 1002, 3: 1003, 100: 1030}
    with pytest.raises(BackfillRefused, match=r"gold.things: version \d changed rows after"):
        say("backfill", "undo", first["backfill"], "--yes")
    assert say("backfill", "list", "-o", "json")[0]["state"] == "published"


@pytest.mark.long(70)
def test_as_of_leaves_out_what_came_later_until_the_next_run(things: Lakehouse) -> None:
    put(things, *DAYS[0])
    tables(things)
    day(things, 1)
    moment = now()
    put(things, (1, "2025-10-01 23:00:00", 77, "late"))
    day(things, 2)
    assert amounts(things) == {1: 77, 100: 10}
    rows = backfill("things", 1, 1, "--as-of", moment.isoformat(), "--confirm")
    assert amounts(things) == {1: 1, 100: 10}
    say("backfill", "undo", rows[0]["backfill"], "--yes", "-o", "json")
    assert amounts(things) == {1: 77, 100: 10}
    backfill("things", 1, 1, "--as-of", moment.isoformat(), "--confirm")
    things.run("silver.things", "2025-10-02", "2025-10-03", run_id="next")
    assert amounts(things) == {1: 77, 100: 10}


@pytest.mark.long(50)
def test_a_staged_result_is_not_published_over_a_later_change(things: Lakehouse) -> None:
    put(things, *DAYS[0], *DAYS[1])
    tables(things)
    day(things, 1)
    (row, *_) = backfill("things", 2, 2, "--from", "source", "--stage", "--confirm")
    day(things, 2)
    before = state(things)
    with pytest.raises(BackfillRefused, match="changed after the backfill was staged"):
        say("backfill", "publish", row["backfill"])
    assert state(things) == before
    with pytest.raises(BackfillRefused, match="nothing of it is published"):
        say("backfill", "undo", row["backfill"], "--yes")


@pytest.mark.long(60)
def test_what_was_loaded_later_covers_nothing_without_the_rows_taken_back(
    things: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleared run of the same day had found them there. And an undo that died in the middle is gone on with."""
    put(things, *DAYS[0], *DAYS[1], *DAYS[2])
    tables(things)
    day(things, 1)
    before = amounts(things)
    (row, *_) = backfill("things", 2, 2, "--from", "source", "--confirm")
    day(things, 2)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lakehouse.backfill.undo"], "_reopen", lambda name, *told: 1 / (name != BRONZE))
        with pytest.raises(ZeroDivisionError):
            say("backfill", "undo", row["backfill"], "--yes")
        things.run(BRONZE, "2025-10-03", "2025-10-04", "backfill", run_id="meanwhile")
    say("backfill", "undo", row["backfill"], "--yes", "-o", "json")
    assert {r["id"] for r in things.rows(BRONZE)} == {1, 100, 3}
    day(things, 4)
    assert amounts(things) == {**before, 2: 2, 3: 3, 100: 30}


@pytest.mark.long(60)
def test_what_upkeep_rewrote_is_refused_before_anything_is_changed(things: Lakehouse) -> None:
    put(things, *DAYS[0], *DAYS[1])
    tables(things)
    day(things, 1)
    (row, *_) = backfill("things", 2, 2, "--from", "source", "--confirm")
    say("optimize", BRONZE, "-o", "json")
    before = state(things)
    with pytest.raises(RevertRefused, match="cannot be taken back"):
        say("backfill", "undo", row["backfill"], "--yes")
    assert state(things) == before


def rewrite(table: Path) -> None:
    """What an OPTIMIZE of the table's only file would commit."""
    version = latest_version(str(table))
    (file,) = active_files(str(table), version)
    shutil.copy(table / file["path"], table / "rewritten.parquet")
    actions = [
        {"commitInfo": {"operation": "OPTIMIZE"}},
        {"remove": {"path": file["path"], "deletionTimestamp": 1, "dataChange": False}},
        {"add": {**file, "path": "rewritten.parquet", "dataChange": False}},
    ]
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (table / "_delta_log" / f"{version + 1:020}.json").write_text(text)


@pytest.mark.long(40)
def test_a_staged_result_is_not_published_in_part_after_upkeep(things: Lakehouse) -> None:
    """Bronze could be, for upkeep of it is no conflict; silver could not."""
    put(things, *DAYS[0], *DAYS[1])
    tables(things)
    day(things, 1)
    (row, *_) = backfill("things", 2, 2, "--from", "source", "--stage", "--confirm")
    rewrite(Path(paths.table(COMPUTED)))
    before = state(things)
    with pytest.raises(BackfillRefused, match="removed files that the branch removes"):
        say("backfill", "publish", row["backfill"])
    assert state(things) == before


@pytest.mark.long(60)
def test_the_runbooks_commands_work(things: Lakehouse) -> None:
    """Every command of ours on the page, in its order, with names and ids that are there."""
    put(things, *DAYS[0], *DAYS[1], *DAYS[2])
    tables(things)
    day(things, 3, "backfill")
    blocks = RUNBOOK.read_text().split("```sh\n")[1:]
    lines = [line for block in blocks for line in block.partition("```")[0].splitlines()]
    commands = [line for line in lines if line.startswith("lakehouse ")]
    assert len(commands) >= 12
    names = {"silver.orders": COMPUTED, "bronze.orders": BRONZE, "--table orders": "--table things"}
    branch = number = ""
    for command in commands:
        text = command.replace("<branch>", branch).replace("<id>", number)
        for shop, ours in names.items():
            text = text.replace(shop, ours)
        answer = CliRunner().invoke(app, shlex.split(text)[1:], catch_exceptions=False)
        assert answer.exit_code == 0, (command, answer.output)
        if "--confirm" in command:
            newest = records()[0]
            number = newest.backfill_id[:8]
            branch = next((Branch.from_json(b.branch).id[:12] for b in newest.batches if b.branch), branch)
    assert [found.state for found in records()] == ["undone", "published"]
