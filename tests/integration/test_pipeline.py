"""A load from end to end through real clients, Spark and Delta: what is kept, what is set aside, what is published."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import ledger, paths, watermarks
from lakehouse.books import books
from lakehouse.bronze.load import LoadFailed
from lakehouse.delta import latest_version, read_rows
from lakehouse.pipeline import publish as publish_step
from lakehouse.pipeline.batch import Run
from lakehouse.quality import GateFailed
from tests.integration.attempt import begin, end_of
from tests.integration.conftest import Lakehouse

COLUMNS = """
- {name: id, physicalName: ID, physicalType: BIGINT, primaryKey: true, required: true}
- {name: at, physicalName: CHANGED, physicalType: TIMESTAMP, required: true}
- {name: amount, physicalName: AMOUNT, physicalType: "DECIMAL(18,2)"}
- name: who
  physicalName: WHO
  physicalType: STRING
  classification: pii
  customProperties: [{property: protect, value: tokenise}]
"""
RULES = """
- {name: amount_positive, type: custom, engine: sparkSql, implementation: amount IS NULL OR amount > 0}
"""
SOURCE = """
- property: source
  value: {connection: snowflake_default, type: snowflake, object: SHOP.PUBLIC.%s, cursor: at,
    initialValue: "2025-01-01", lookback: PT6H, watermarkKey: %s}
- {property: quarantineThreshold, value: 0.5}
"""
SILVER = """
- {name: id, physicalType: BIGINT, primaryKey: true, required: true}
- {name: amount, physicalType: "DECIMAL(18,2)"}
"""
LATEST = """
SELECT id, amount FROM bronze.things
QUALIFY ROW_NUMBER() OVER (PARTITION BY id ORDER BY at DESC, _row_hash DESC) = 1
"""


@pytest.fixture
def things(lakehouse: Lakehouse, request: pytest.FixtureRequest) -> Lakehouse:
    """bronze.things over a source table of this test's own."""
    name = "T_" + "".join(c for c in request.node.name if c.isalnum())[-40:].upper()
    lakehouse.table("bronze.things", COLUMNS, SOURCE % (name, "things_max_ts"), rules=RULES)
    lakehouse.snowflake(
        f"CREATE OR REPLACE TABLE {name} (ID NUMBER(18,0), CHANGED TIMESTAMP_NTZ, AMOUNT NUMBER(18,2), WHO VARCHAR)"
    )
    lakehouse.source = name  # type: ignore[attr-defined]
    return lakehouse


def put(lake: Lakehouse, *rows: tuple[Any, ...]) -> None:
    values = ", ".join(
        "(" + ", ".join("NULL" if v is None else repr(v) if isinstance(v, int | float) else f"'{v}'" for v in row) + ")"
        for row in rows
    )
    lake.snowflake(f"INSERT INTO {lake.source} VALUES {values}")  # type: ignore[attr-defined]


def ids(lake: Lakehouse) -> list[int]:
    return sorted(row["id"] for row in lake.rows("bronze.things"))


@pytest.mark.long(40)
def test_equal_timestamps_at_the_boundary(things: Lakehouse) -> None:
    """ING-2, ING-6: windows are (low, high]; a tie that comes later is found, one seen again is not doubled."""
    put(
        things,
        (1, "2025-10-01 00:00:00", 1, "a"),
        (2, "2025-10-02 00:00:00", 2, "b"),
        (3, "2025-10-02 00:00:00", 3, "c"),
        (4, "2025-10-02 00:00:00.000001", 4, "d"),
    )
    things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert ids(things) == [1, 2, 3]
    put(things, (6, "2025-10-02 00:00:00", 6, "tie"), (2, "2025-10-02 00:00:00", 2, "b"))
    things.run("bronze.things", "2025-10-02", "2025-10-03")
    assert ids(things) == [1, 2, 3, 4, 6]
    version = latest_version(paths.table("bronze.things"))
    (again,) = things.run("bronze.things", "2025-10-02", "2025-10-03")
    assert again.counts["inserted"] == 0
    assert again.counts["duplicates"] == again.counts["extracted"]
    assert latest_version(paths.table("bronze.things")) == version


@pytest.mark.long(40)
def test_late_commit_below_the_mark(things: Lakehouse) -> None:
    """ING-5: the next load looks back over rows whose cursor the mark has passed; those it knows are no new ones."""
    put(things, (1, "2025-10-01 19:00:00", 1, "a"))
    things.run("bronze.things", "2025-10-01", "2025-10-02")
    put(things, (2, "2025-10-01 20:00:00", 2, "late"))
    (batch,) = things.run("bronze.things", "2025-10-02", "2025-10-03")
    assert (batch.counts["inserted"], batch.counts["duplicates"]) == (1, 1)
    assert ids(things) == [1, 2]


@pytest.mark.long(40)
def test_two_runs_in_one_interval(things: Lakehouse) -> None:
    """ING-1, ING-2: one by hand reads past its end, the interval's own and that one cleared find what came since."""
    put(things, (1, "2025-10-01 10:00:00", 1, "a"))
    by_hand = Run("by hand", "manual", end=datetime(2025, 10, 3, tzinfo=UTC))
    things.run_as("bronze.things", by_hand)
    put(things, (2, "2025-10-01 11:00:00", 2, "b"))
    things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert ids(things) == [1, 2]
    put(things, (3, "2025-10-01 12:00:00", 3, "c"))
    (cleared,) = things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert (cleared.load, cleared.counts["inserted"], cleared.counts["duplicates"]) == (2, 1, 2)
    assert ids(things) == [1, 2, 3]
    assert watermarks.store().get("things_max_ts") == by_hand.end


def test_bad_rows_are_set_aside_once_with_every_reason(things: Lakehouse) -> None:
    """CON-2, CON-3: quarantined, not lost; seen again by the lookback, not doubled; the books balance."""
    from deltalake import DeltaTable

    put(things, (1, "2025-10-01 20:00:00", 1, "a"), (None, "2025-10-01 21:00:00", -1, "b"), (3, None, 3, "c"))
    put(
        things,
        (4, "2025-10-01 22:00:00", 4, "d"),
        (5, "2025-10-01 22:00:00", 5, "e"),
        (6, "2025-10-01 23:00:00", -6, "f"),
    )
    (first,) = things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert first.counts["extracted"] == 6
    assert (first.counts["inserted"], first.counts["quarantined"], first.counts["duplicates"]) == (3, 3, 0)
    (second,) = things.run("bronze.things", "2025-10-02", "2025-10-03")
    assert (second.counts["inserted"], second.counts["quarantined"]) == (0, 0)
    assert second.counts["duplicates"] == second.counts["extracted"] == 6
    held = DeltaTable(paths.ops("quarantine")).to_pyarrow_table().to_pylist()
    assert sorted(sorted(row["reasons"]) for row in held) == [
        ["amount_positive"],
        ["amount_positive", "id_not_null"],
        ["at_not_null"],
    ]
    lane = list(Path(paths.error_lane("bronze.things", "2025-10-01", first.batch_id)).glob("*.json"))
    assert sum(len(file.read_text().splitlines()) for file in lane) == 3


@pytest.mark.long(40)
def test_mark_past_failed_rows(things: Lakehouse) -> None:
    """CON-2, ING-3: a load with too many bad rows publishes nothing and moves no mark; the next one takes its rows."""
    put(
        things,
        (1, "2025-10-01 20:00:00", -1, "a"),
        (2, "2025-10-01 20:00:00", -1, "a"),
        (3, "2025-10-01 21:00:00", 1, "a"),
    )
    with pytest.raises(LoadFailed, match="2 of 3 rows broke the contract"):
        things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert latest_version(paths.table("bronze.things")) == -1
    assert watermarks.store().all() == {}
    # That its rows are in quarantine by now does not let the next load through.
    with pytest.raises(LoadFailed, match="2 of 3"):
        things.run("bronze.things", "2025-10-01", "2025-10-03")
    # Mended in the source, and nobody clears the run.
    things.snowflake(f"UPDATE {things.source} SET AMOUNT = 1")  # type: ignore[attr-defined]
    things.run("bronze.things", "2025-10-02", "2025-10-03")
    assert ids(things) == [1, 2, 3]
    assert watermarks.store().get("things_max_ts") == datetime(2025, 10, 3, tzinfo=UTC)


@pytest.mark.long(40)
def test_a_day_loaded_again_may_hold_what_was_set_aside_before(things: Lakehouse) -> None:
    """CON-2: rows at fault that a published load has set aside are no news; with news above the threshold it fails."""
    put(things, (1, "2025-10-01 01:00:00", 1, "a"), (2, "2025-10-01 02:00:00", 2, "b"))
    put(things, (3, "2025-10-01 20:00:00", -3, "c"), (4, "2025-10-01 21:00:00", -4, "d"))
    things.run("bronze.things", "2025-10-01", "2025-10-02")
    evening = ("2025-10-01T18:00", "2025-10-02", "backfill")
    (again,) = things.run("bronze.things", *evening)
    assert (again.counts["inserted"], again.counts["quarantined"]) == (0, 0)
    put(things, *[(n, "2025-10-01 22:00:00", -n, "e") for n in range(5, 9)])
    with pytest.raises(LoadFailed, match="4 of 6"):
        things.run("bronze.things", *evening)
    assert ids(things) == [1, 2]


@pytest.mark.long(40)
def test_what_turns_bad_between_two_attempts_is_set_aside_too(things: Lakehouse) -> None:
    """CON-2, CON-5: both attempts are the same load; the second one's rows are neither lost nor the first's counted."""
    day = "2025-10-01 20:00:00"
    put(things, (1, day, -1, "a"), (2, day, -2, "b"), (3, day, 3, "c"))
    with pytest.raises(LoadFailed, match="2 of 3"):
        things.run("bronze.things", "2025-10-01", "2025-10-02")
    things.snowflake(f"UPDATE {things.source} SET AMOUNT = -3 * AMOUNT")  # type: ignore[attr-defined]
    (batch,) = things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert ids(things) == [1, 2]
    held = read_rows(paths.ops("quarantine"))
    assert sorted(row["key"] for row in held) == ['{"id":1}', '{"id":2}', '{"id":3}']
    assert (batch.load, batch.counts["inserted"], batch.counts["quarantined"], batch.counts["duplicates"]) == (
        1,
        2,
        1,
        0,
    )


def test_crash_after_commit_before_mark(things: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """ING-3: the commit is there, ledger and watermark do not say so. The next run puts it right."""
    put(things, (1, "2025-10-01 10:00:00", 1, "a"))

    class Killed(BaseException):
        pass

    def die(*events: Any) -> None:
        if events[0].event == "published":
            raise Killed
        ledger.events.append(*events)

    with monkeypatch.context() as patch:
        patch.setattr(publish_step.ledger, "append", die)
        with pytest.raises(Killed):
            things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert ids(things) == [1]
    assert watermarks.store().all() == {}
    things.run("bronze.things", "2025-10-02", "2025-10-03")
    assert ids(things) == [1]
    assert watermarks.store().get("things_max_ts") == datetime(2025, 10, 3, tzinfo=UTC)
    windows = [e.windows for e in ledger.read("bronze.things") if e.event == "published"]
    assert windows[0][0].high == datetime(2025, 10, 2, tzinfo=UTC)
    assert windows[1][0].low == datetime(2025, 10, 2, tzinfo=UTC)
    reconciled = next(e for e in ledger.read("bronze.things") if e.detail)
    assert (reconciled.event, reconciled.version, reconciled.counts["inserted"]) == ("published", 0, 1)


@pytest.mark.long(40)
def test_backfill_older_than_the_mark(things: Lakehouse) -> None:
    """ING-4: an older state joins the log; the latest state, and the watermark, stay."""
    things.table("silver.things", SILVER, "- {property: strategy, value: merge}", LATEST)
    put(things, (1, "2025-10-03 10:00:00", 3, "new"))
    things.run("*", "2025-10-03", "2025-10-04")
    put(things, (1, "2025-09-20 10:00:00", 1, "old"))
    things.run("*", "2025-09-20", "2025-09-21", kind="backfill")
    assert len(things.rows("bronze.things")) == 2
    assert [int(row["amount"]) for row in things.rows("silver.things")] == [3]
    assert watermarks.store().get("things_max_ts") == datetime(2025, 10, 4, tzinfo=UTC)


def test_a_critical_failure_publishes_nothing_and_leaves_no_trace(things: Lakehouse) -> None:
    """DQ-2: table, history and readers show nothing; what was published before stays as it was."""
    rule = "- {name: amounts_small, type: custom, engine: sparkSql, implementation: amount < 100}"
    things.table("silver.things", SILVER, "- {property: strategy, value: merge}", LATEST, rules=rule)
    put(things, (1, "2025-10-01 10:00:00", 1, "a"))
    things.run("*", "2025-10-01", "2025-10-02")
    before, rows = things.log("silver.things"), things.rows("silver.things")
    put(things, (1, "2025-10-02 10:00:00", 500, "a"), (2, "2025-10-02 10:00:00", 2, "b"))
    with pytest.raises(GateFailed, match="amounts_small"):
        things.run("*", "2025-10-02", "2025-10-03")
    assert things.log("silver.things") == before
    assert things.rows("silver.things") == rows
    assert ledger.read("silver.things")[-1].event == "held"
    # The source corrects itself; the next run publishes.
    put(things, (1, "2025-10-03 10:00:00", 5, "a"))
    things.run("*", "2025-10-03", "2025-10-04")
    assert [(row["id"], int(row["amount"])) for row in things.rows("silver.things")] == [(1, 5), (2, 2)]


@pytest.mark.long(40)
def test_a_warning_publishes(things: Lakehouse) -> None:
    rule = "- {name: odd, type: custom, engine: sparkSql, implementation: amount < 100, severity: warning}"
    things.table("silver.things", SILVER, "- {property: strategy, value: merge}", LATEST, rules=rule)
    put(things, (1, "2025-10-01 10:00:00", 500, "a"))
    batches = things.run("*", "2025-10-01", "2025-10-02")
    assert batches[-1].counts["warnings"] == 1
    assert len(things.rows("silver.things")) == 1


def test_nothing_new_computes_nothing(things: Lakehouse) -> None:
    things.table("silver.things", SILVER, "- {property: strategy, value: merge}", LATEST)
    put(things, (1, "2025-10-01 10:00:00", 1, "a"))
    things.run("*", "2025-10-01", "2025-10-02")
    version = latest_version(paths.table("silver.things"))
    (_, silver) = things.run("*", "2025-10-02", "2025-10-03")
    assert silver.empty
    assert latest_version(paths.table("silver.things")) == version


@pytest.mark.long(40)
def test_personal_data_arrives_as_tokens(things: Lakehouse) -> None:
    put(things, (1, "2025-10-01 10:00:00", 1, "ann@x.example"), (2, "2025-10-01 11:00:00", 1, "ann@x.example"))
    things.run("bronze.things", "2025-10-01", "2025-10-02")
    tokens = {row["who"] for row in things.rows("bronze.things")}
    assert len(tokens) == 1
    assert "ann" not in tokens.pop()
    for file in Path(paths.lake()).rglob("*"):
        assert not file.is_file() or b"ann@x.example" not in file.read_bytes()


@pytest.mark.long(40)
@pytest.mark.parametrize("point", ["extract.slice", "load.appended"])
def test_schema_change_between_attempts(things: Lakehouse, point: str) -> None:
    """CON-1: an attempt died between two slices, or on its branch; the next one meets other columns in the source."""
    sliced = SOURCE.replace("2025-01-01", "2025-10-01").replace("lookback: PT6H", "lookback: PT6H, chunk: P1D")
    name = things.source  # type: ignore[attr-defined]
    things.table("bronze.things", COLUMNS, sliced % (name, "things_max_ts"), rules=RULES)
    put(things, (1, "2025-10-01 10:00:00", 1, "a"), (2, "2025-10-01 20:00:00", 2, "b"))
    assert end_of(begin("bronze.things", "2025-10-01", "2025-10-02", point)) == -signal.SIGKILL
    things.snowflake(
        f"ALTER TABLE {name} ADD COLUMN COLOUR VARCHAR",
        f"UPDATE {name} SET COLOUR = 'red'",
        f"ALTER TABLE {name} DROP COLUMN WHO",
    )
    (batch,) = things.run("bronze.things", "2025-10-01", "2025-10-02")
    assert (batch.load, batch.counts["extracted"], batch.counts["inserted"]) == (1, 2, 2)
    rows = {row["id"]: row for row in read_rows(paths.table("bronze.things"))}
    # A slice that was landed stays as it was.
    before = {1} if point == "extract.slice" else set()
    assert {key for key, row in rows.items() if row["who"]} == before
    assert {key for key, row in rows.items() if row["_extra"] == '{"COLOUR":"red"}'} == {1, 2} - before
    assert books("bronze.things").faults == ()
