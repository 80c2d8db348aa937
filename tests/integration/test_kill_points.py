"""Whatever step a process dies in, the next attempt ends as if nothing had happened (ING-2, ING-3).

A few points of a seeded choice, and LAKEHOUSE_KILL_MATRIX=all for every one of them.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lakehouse import ledger, paths, watermarks
from lakehouse.config import PROJECT
from lakehouse.delta import commit_metadata, latest_version, read_rows, table_sql
from lakehouse.delta.attempts import open_attempts
from lakehouse.killpoints import POINTS
from lakehouse.ledger.state import covered
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.state import StateFile
from lakehouse.spark import session_id
from tests.integration.attempt import await_frozen, begin, begin_statement, end_of, warm_up
from tests.integration.conftest import Lakehouse, lake_at
from tests.integration.test_pipeline import COLUMNS, LATEST, RULES, SILVER
from tests.platform import bring_back

BRONZE, COMPUTED = "bronze.things", "silver.things"
#: Which tables come by the points of a step.
STEPS = {
    "extract": (BRONZE,),
    "load": (BRONZE,),
    "quarantine": (BRONZE,),
    "watermark": (BRONZE,),
    "compute": (COMPUTED,),
    "gate": (BRONZE, COMPUTED),
    "batch": (BRONZE, COMPUTED),
}
CASES = [(point, table) for point in POINTS for table in STEPS.get(point.partition(".")[0], ())]
ALL = os.environ.get("LAKEHOUSE_KILL_MATRIX") == "all"
#: The most delicate moment, always: committed, and nobody has said so yet.
ALWAYS = [("batch.committed", BRONZE), ("batch.committed", COMPUTED)]
#: Those that the zombie and the sleeper below come by in any case.
COVERED = [("compute.branched", COMPUTED), ("batch.ready", BRONZE)]
SEED = int(os.environ.get("LAKEHOUSE_KILL_SEED") or 1)
SAMPLE = ALWAYS + random.Random(SEED).sample([case for case in CASES if case not in ALWAYS + COVERED], 2)

#: Slices of a day, so that an extract can break off between two of them.
SOURCE = """
- property: source
  value: {connection: snowflake_default, type: snowflake, object: SHOP.PUBLIC.KILLED, cursor: at,
    initialValue: "2025-10-01", lookback: PT6H, chunk: P1D, watermarkKey: things_max_ts}
- {property: quarantineThreshold, value: 0.9}
"""
ROWS = """
    (1, '2025-10-01 10:00:00', 1, 'a'), (2, '2025-10-01 20:00:00', 2, 'b'), (3, '2025-10-01 21:00:00', -3, 'c'),
    (2, '2025-10-02 03:00:00', 20, 'b'), (4, '2025-10-02 10:00:00', 4, 'd'), (5, '2025-10-02 11:00:00', -5, 'e'),
    (5, '2025-10-02 12:00:00', 5, 'e')
"""
FIRST, SECOND = ("2025-10-01", "2025-10-02"), ("2025-10-02", "2025-10-03")


@dataclass(frozen=True)
class Stages:
    """Three lakes that nobody disturbed, to copy and to compare with."""

    #: Both tables of the first day; the second day is in the source. In a sample no table yet, which is quicker: then
    #: the second day's run loads both days.
    first: Path
    #: All of it in bronze.
    loaded: Path
    #: All of it in both.
    done: Path

    def before(self, table: str) -> Path:
        """As it is before the second day's run of `table`."""
        return self.first if table == BRONZE else self.loaded

    def after(self, table: str) -> Path:
        """As it is after that run."""
        return self.loaded if table == BRONZE else self.done


@pytest.fixture(scope="module")
def stages(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Stages:
    warm_up()
    top = tmp_path_factory.mktemp("stages")
    found = Stages(top / "first", top / "loaded", top / "done")
    with lake_at(found.first, stand_ins) as lake:
        lake.table(BRONZE, COLUMNS, SOURCE, rules=RULES)
        lake.table(COMPUTED, SILVER, "- {property: strategy, value: merge}", LATEST)
        lake.snowflake(
            "CREATE OR REPLACE TABLE KILLED (ID NUMBER(18,0), CHANGED TIMESTAMP_NTZ, AMOUNT NUMBER(18,2), WHO VARCHAR)",
            f"INSERT INTO KILLED VALUES {ROWS}",
        )
        if ALL:
            lake.run("*", *FIRST)
    shutil.copytree(found.first, found.loaded)
    with lake_at(found.loaded, stand_ins) as lake:
        lake.run(BRONZE, *SECOND)
    shutil.copytree(found.loaded, found.done)
    with lake_at(found.done, stand_ins) as lake:
        lake.run(COMPUTED, *SECOND)
    return found


Enter = Callable[[Path], Lakehouse]


@pytest.fixture
def enter(stand_ins: Path, tmp_path: Path) -> Iterator[Enter]:
    """A copy of a stage, to work in until the test ends."""
    with ExitStack() as opened:

        def copy(stage: Path) -> Lakehouse:
            home = tmp_path / stage.name
            shutil.copytree(stage, home)
            return opened.enter_context(lake_at(home, stand_ins))

        yield copy


def rows(table: str) -> list[dict[str, Any]]:
    """The published rows. Two runs give them other times, and nothing else differs."""
    return without(read_rows(paths.table(table)), "_ingest_ts", "_updated_ts")


def without(found: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return sorted(({k: v for k, v in row.items() if k not in names} for row in found), key=str)


def books() -> dict[str, Any]:
    """All that a lake says of itself: tables, quarantine, error lane, ledger, watermark."""
    told: dict[str, Any] = {"watermarks": watermarks.store().all()}
    told["quarantine"] = without(read_rows(paths.ops("quarantine")), "quarantined_ts")
    lanes = Path(paths.lake(), "_errors").rglob("*.json")
    told["lane"] = sorted(
        line.partition("quarantined_ts")[0] for file in lanes for line in file.read_text().splitlines()
    )
    for table in (BRONZE, COMPUTED):
        events = [e for e in ledger.read(table) if e.event == "published"]
        told[table] = {
            "rows": rows(table),
            "version": latest_version(paths.table(table)),
            "covered": covered(events),
            "counts": {
                name: sum(e.counts.get(name, 0) for e in events)
                for name in ("inserted", "updated", "deleted", "quarantined")
            },
        }
    return told


def check_once(said: int) -> None:
    """No batch was committed twice, and no load was put on record more often than `said`."""
    for table in (BRONZE, COMPUTED):
        path = paths.table(table)
        commits = [commit_metadata(path, version) or {} for version in range(latest_version(path) + 1)]
        assert max(Counter(told["batch_id"] for told in commits).values(), default=1) == 1, table
        events = [e for e in read_rows(paths.ops("ledger"), {"table": table}) if e["event"] == "published"]
        assert max(Counter((e["batch_id"], e["load"]) for e in events).values(), default=1) <= said, table


def check_all_or_nothing(stages: Stages, table: str, stand_ins: Path) -> None:
    """The table is as before the run or as after it; the other is as it was."""
    here = {name: rows(name) for name in (BRONZE, COMPUTED)}
    with lake_at(stages.before(table), stand_ins):
        before = {name: rows(name) for name in here}
    with lake_at(stages.after(table), stand_ins):
        after = {name: rows(name) for name in here}
    assert before != after
    assert here in (before, after)


def check_as_undisturbed(stages: Stages, table: str, stand_ins: Path, said: int = 1) -> None:
    """Everything is as it would be, each once, and nothing of an attempt is left over."""
    told = books()
    check_once(said)
    for top in (*map(paths.table, (BRONZE, COMPUTED)), paths.ops("quarantine")):
        assert [batch.name for batch in Path(top, "_branch").glob("*") if open_attempts(top, batch.name)] == []
    with lake_at(stages.after(table), stand_ins):
        expected = books()
    assert told == expected


def test_every_point_of_the_steps_is_a_case() -> None:
    rooms = [PROJECT / "include" / "lakehouse" / room for room in ("pipeline", "bronze", "ingest", "transform")]
    text = "".join(file.read_text() for room in rooms for file in room.glob("*.py"))
    reached = re.findall(r'reach\("([\w.]+)"\)', text)
    assert len(reached) == len(set(reached)) >= 17
    assert set(reached) == {point for point, _ in CASES}


@pytest.mark.parametrize(("point", "table"), CASES if ALL else SAMPLE)
def test_death_at_any_point_is_mended_by_the_next_attempt(
    point: str, table: str, stages: Stages, enter: Enter, stand_ins: Path
) -> None:
    lake = enter(stages.before(table))
    assert end_of(begin(table, *SECOND, point)) == -signal.SIGKILL, "the point was not reached"
    check_all_or_nothing(stages, table, stand_ins)
    lake.run(table, *SECOND)
    check_as_undisturbed(stages, table, stand_ins)


@pytest.mark.parametrize(
    ("point", "table"),
    [("load.branched", BRONZE), ("load.appended", BRONZE), ("compute.applied", COMPUTED)] if ALL else [],
)
def test_death_of_spark_is_mended_by_the_next_attempt(
    point: str, table: str, stages: Stages, enter: Enter, stand_ins: Path
) -> None:
    lake = enter(stages.before(table))
    spark = StateFile(Layout(stand_ins).sandbox).load().services["spark"].pid
    assert end_of(begin(table, *SECOND, point, pid=spark)) in (0, 1)
    check_all_or_nothing(stages, table, stand_ins)
    bring_back(stand_ins)
    assert StateFile(Layout(stand_ins).sandbox).load().services["spark"].pid != spark, "the point was not reached"
    lake.run(table, *SECOND)
    check_as_undisturbed(stages, table, stand_ins)


@pytest.mark.parametrize("point", ["batch.ready", "batch.committed"] if ALL else ["batch.ready"])
def test_a_publisher_that_wakes_late_changes_nothing(point: str, stages: Stages, enter: Enter, stand_ins: Path) -> None:
    lake = enter(stages.first)
    frozen = begin(BRONZE, *SECOND, point, freeze=True)
    try:
        await_frozen(frozen)
        lake.run(BRONZE, *SECOND)
        history = lake.log(BRONZE)
        os.kill(frozen.pid or 0, signal.SIGCONT)
        assert end_of(frozen) == 0
    finally:
        frozen.kill()
    assert lake.log(BRONZE) == history
    check_as_undisturbed(stages, BRONZE, stand_ins, said=1 if point == "batch.ready" else 2)


def test_what_a_killed_attempt_left_running_is_ended(stages: Stages, enter: Enter, stand_ins: Path) -> None:
    """A killed client does not stop its statement; the next attempt does, and publishes its own rows only."""
    lake = enter(stages.loaded)
    assert end_of(begin(COMPUTED, *SECOND, "compute.branched")) == -signal.SIGKILL
    path = paths.table(COMPUTED)
    ((batch, (attempt, branch)),) = [
        (folder.name, found)
        for folder in Path(path, "_branch").iterdir()
        for found in open_attempts(path, folder.name).items()
    ]
    session = session_id(batch, attempt)
    rows = "SELECT id, 1 FROM range(1000000000000)"
    zombie = begin_statement(session, f"INSERT INTO {table_sql(branch.path)} (id, amount) {rows}")
    while not list(Path(branch.path).glob("part-*")):
        assert zombie.is_alive()
        time.sleep(0.05)
    zombie.kill()
    assert end_of(zombie) == -signal.SIGKILL
    assert running(session)
    lake.run(COMPUTED, *SECOND)
    with pytest.raises(Exception, match="SESSION_CLOSED"):
        running(session)
    check_as_undisturbed(stages, COMPUTED, stand_ins)


def running(session: str) -> bool:
    """Whether the server works at a statement of this session. Raises for one that was closed."""
    from pyspark.sql.connect.client import SparkConnectClient

    from lakehouse.spark.session import _url

    client = SparkConnectClient(_url(session))
    try:
        return "RUNNING" in str(client._get_operation_statuses())
    finally:
        client.close()
