"""Whoever dies wherever in a load, the next attempt ends as if nothing had happened (ING-2, ING-3)."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import ledger, manifest, paths, watermarks
from lakehouse.config import PROJECT
from lakehouse.delta import commit_metadata, latest_version, read_rows, table_sql
from lakehouse.delta.attempts import open_attempts
from lakehouse.ingest.landing import is_whole, landing_files, slices_of
from lakehouse.ledger.state import covered
from lakehouse.pipeline.batch import Batch
from lakehouse.sandbox import ports
from lakehouse.spark import session_id
from tests.integration import kill_matrix
from tests.integration.attempt import STATEMENTS, await_frozen, begin, begin_statement, end_of, warm_up
from tests.integration.conftest import Lakehouse, lake_at
from tests.integration.kill_matrix import ALL, CASES, COMPUTED, GOOD, INPUT, ORDERS, PRICES, Case, Told
from tests.platform import bring_back, service
from tests.shop import Sources, adopt

FIRST, SECOND = ("2025-10-01", "2025-10-02"), ("2025-10-02", "2025-10-03")


def slice_days(contract: Path) -> None:
    """Less history, and slices of a day, so that an extract can break off between two of them."""
    text = contract.read_text().replace('"2025-08-31T00:00:00Z"', '"2025-09-30T00:00:00Z"')
    contract.write_text(text.replace("lookback: PT6H", "lookback: PT6H\n      chunk: P1D"))


@dataclass
class Stages:
    """Lakes that nobody disturbed, to copy and to compare with: each made when it is first asked for."""

    top: Path
    stand_ins: Path
    sources: Sources
    made: set[Path] = field(default_factory=set)

    def before(self, table: str) -> Path:
        """As it is before the second day's load of `table`, with the second day in the source."""
        home = self.top / table / "before"
        if home not in self.made:
            if table == PRICES:
                # Files are not asked for by time: the second day's come when the first day's are loaded.
                self.sources.send(1)
            with lake_at(home, self.stand_ins) as lake:
                if table == COMPUTED:
                    adopt(lake.tables, INPUT, COMPUTED)
                else:
                    slice_days(adopt(lake.tables, table) / "contract.odcs.yaml")
                lake.run("*", *FIRST)
                if table == PRICES:
                    self.sources.send(2)
                if table == COMPUTED:
                    lake.run(INPUT, *SECOND)
            self.made.add(home)
        return home

    def after(self, table: str) -> Path:
        """As it is after that load."""
        home = self.top / table / "after"
        if home not in self.made:
            shutil.copytree(self.before(table), home)
            with lake_at(home, self.stand_ins):
                assert end_of(begin(table, *SECOND, statement="none 0")) == 0
            self.made.add(home)
        return home


@pytest.fixture(scope="module")
def stages(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    warm_up()
    top = tmp_path_factory.mktemp("stages")
    sources = Sources(stand_ins, top / "sent")
    with lake_at(top / "none", stand_ins):
        sources.clear()
        sources.live(2, files=False)
        yield Stages(top, stand_ins, sources)
        sources.clear()


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


@pytest.fixture(scope="module")
def report() -> Iterator[list[Told]]:
    """What became of each case; of all of them there is a page."""
    told: list[Told] = []
    began = time.monotonic()
    yield told
    today = datetime.now(UTC).date().isoformat()
    if ALL and len(told) == len(CASES):
        kill_matrix.write(told, today, (time.monotonic() - began) / 60)
    elif ALL and told:
        kill_matrix.amend(told, today)


def tables() -> list[str]:
    """Tables of the lake at hand."""
    return [entry.name for entry in manifest.load().entries]


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
    for table in tables():
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
    for table in tables():
        path = paths.table(table)
        commits = [commit_metadata(path, version) or {} for version in range(latest_version(path) + 1)]
        assert max(Counter(told["batch_id"] for told in commits).values(), default=1) == 1, table
        events = [e for e in read_rows(paths.ops("ledger"), {"table": table}) if e["event"] == "published"]
        assert max(Counter((e["batch_id"], e["load"]) for e in events).values(), default=1) <= said, table


def check_all_or_nothing(stages: Stages, table: str, stand_ins: Path) -> None:
    """The table is as before the load or as after it; what it reads is as it was."""
    here = {name: rows(name) for name in tables()}
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
    assert open_branches(*tables()) == 0
    with lake_at(stages.after(table), stand_ins):
        expected = books()
    assert expected["quarantine"] or table == COMPUTED
    assert told == expected


def open_branches(*names: str) -> int:
    """Attempts that left a branch of these tables, or of quarantine."""
    tops = [*map(paths.table, names), paths.ops("quarantine")]
    return sum(len(open_attempts(top, batch.name)) for top in tops for batch in Path(top, "_branch").glob("*"))


@dataclass(frozen=True)
class Found:
    """What can be seen of the second day's load from outside."""

    landed: str
    branches: int
    aside: int
    version: int
    recorded: bool
    mark: Any

    @classmethod
    def now(cls, table: str) -> Found:
        """As it is."""
        run = f"test/{SECOND[0]}/{SECOND[1]}/scheduled"
        events = [event for event in ledger.read(table) if event.run_id == run]
        landed = ""
        if events and events[0].windows:
            folder = paths.landing(table, events[0].batch_id, events[0].load)
            if is_whole(folder):
                landed = "all slices"
            elif files := landing_files(folder):
                landed = f"{len(files)} of {len(slices_of(folder))} slices"
        return cls(
            landed,
            open_branches(table),
            len(read_rows(paths.ops("quarantine"))),
            latest_version(paths.table(table)),
            any(event.event == "published" for event in events),
            watermarks.store().all(),
        )

    def told(self, before: Found) -> str:
        """In words, beside what there was before the load."""
        said = [
            self.landed,
            f"{self.aside - before.aside} rows of quarantine" if self.aside > before.aside else "",
            "a branch" if self.branches == 1 else f"{self.branches} branches" if self.branches else "",
            "the commit" if self.version > before.version else "",
            "the ledger's word" if self.recorded else "",
            "the watermark" if self.mark != before.mark else "",
        ]
        return ", ".join(filter(None, said)) or "nothing"


def next_attempt(left: Found, then: Found, batch: Batch) -> str:
    """What the next attempt did, in words."""
    said = []
    if batch.windows:
        said.append("read the rest" if " of " in left.landed else "read anew" if left.landed else "read")
    if batch.load > 1:
        said.append(f"as load {batch.load}, nothing new")
    if left.branches:
        said.append("dropped what was left")
    if then.aside > left.aside:
        said.append("set rows aside")
    said.append("committed" if then.version > left.version else "found the commit")
    if not left.recorded:
        said.append("put it on record")
    if then.mark != left.mark:
        said.append("moved the watermark")
    return ", ".join(said)


def kill_worker(case: Case, stand_ins: Path) -> None:
    assert end_of(begin(case.table, *SECOND, case.where)) == -signal.SIGKILL, "the point was not reached"


def kill_spark(case: Case, stand_ins: Path) -> None:
    """The server comes back, on its port, while the attempt still hopes for it; then that one ends, well or not."""
    server = service(stand_ins, "spark")
    attempt = begin(case.table, *SECOND, statement=case.where, pid=server.pid)
    while not ports.is_free(server.port):
        assert attempt.is_alive(), "the statement was not reached"
        time.sleep(0.02)
    bring_back(stand_ins)
    assert end_of(attempt) in (0, 1)


def test_every_point_of_the_steps_is_a_case() -> None:
    rooms = [PROJECT / "include" / "lakehouse" / room for room in ("pipeline", "bronze", "ingest", "transform")]
    text = "".join(file.read_text() for room in rooms for file in room.rglob("*.py"))
    reached = re.findall(r'reach\("([\w.]+)"\)', text)
    assert len(reached) == len(set(reached)) >= 17
    for layer, table in (("bronze", ORDERS), ("silver", COMPUTED)):
        steps = kill_matrix.STEPS[layer]
        assert set(kill_matrix.points(table)) == {point for point in reached if point.partition(".")[0] in steps}
    assert set(reached) == {case.where for case in kill_matrix.WORKER}


@pytest.mark.long(140)
@pytest.mark.parametrize("case", kill_matrix.chosen(), ids=str)
def test_death_is_mended_by_the_next_attempt(
    case: Case, stages: Stages, enter: Enter, stand_ins: Path, report: list[Told]
) -> None:
    stages.after(case.table)
    lake = enter(stages.before(case.table))
    left = before = Found.now(case.table)
    verdict, did, seconds = "FAILED", "", 0.0
    try:
        {"worker": kill_worker, "Spark": kill_spark}[case.who](case, stand_ins)
        check_all_or_nothing(stages, case.table, stand_ins)
        left, began = Found.now(case.table), time.monotonic()
        (batch,) = lake.run(case.table, *SECOND)
        seconds = time.monotonic() - began
        did = next_attempt(left, Found.now(case.table), batch)
        check_as_undisturbed(stages, case.table, stand_ins)
        verdict = GOOD
    finally:
        report.append(Told(case, left.told(before), did, seconds, verdict))


@pytest.mark.long(60)
@pytest.mark.parametrize("table", kill_matrix.STATEMENTS if ALL else [kill_matrix.WHOLE])
def test_every_statement_of_the_steps_is_a_case(table: str, stages: Stages) -> None:
    assert json.loads((stages.after(table) / STATEMENTS).read_text()) == kill_matrix.STATEMENTS[table]


@pytest.mark.long(60)
@pytest.mark.parametrize("point", ["batch.ready", "batch.committed"] if ALL else ["batch.ready"])
def test_a_publisher_that_wakes_late_changes_nothing(point: str, stages: Stages, enter: Enter, stand_ins: Path) -> None:
    lake = enter(stages.before(PRICES))
    frozen = begin(PRICES, *SECOND, point, freeze=True)
    try:
        await_frozen(frozen)
        lake.run(PRICES, *SECOND)
        history = lake.log(PRICES)
        os.kill(frozen.pid or 0, signal.SIGCONT)
        assert end_of(frozen) == 0
    finally:
        frozen.kill()
    assert lake.log(PRICES) == history
    check_as_undisturbed(stages, PRICES, stand_ins, said=1 if point == "batch.ready" else 2)


@pytest.mark.long(60)
def test_what_a_killed_attempt_left_running_is_ended(stages: Stages, enter: Enter, stand_ins: Path) -> None:
    """A killed client does not stop its statement; the next attempt does, and publishes its own rows only."""
    lake = enter(stages.before(PRICES))
    assert end_of(begin(PRICES, *SECOND, "load.branched")) == -signal.SIGKILL
    path = paths.table(PRICES)
    ((batch, (attempt, branch)),) = [
        (folder.name, found)
        for folder in Path(path, "_branch").iterdir()
        for found in open_attempts(path, folder.name).items()
    ]
    session = session_id(batch, attempt)
    endless = "SELECT CAST(id AS STRING), 'north' FROM range(1000000000000)"
    zombie = begin_statement(session, f"INSERT INTO {table_sql(branch.path)} (sku, vendor) {endless}")
    while not list(Path(branch.path).rglob("part-*")):
        assert zombie.is_alive()
        time.sleep(0.05)
    zombie.kill()
    assert end_of(zombie) == -signal.SIGKILL
    assert running(session)
    lake.run(PRICES, *SECOND)
    with pytest.raises(Exception, match="SESSION_CLOSED"):
        running(session)
    check_as_undisturbed(stages, PRICES, stand_ins)


def running(session: str) -> bool:
    """Whether the server works at a statement of this session. Raises for one that was closed."""
    from pyspark.sql.connect.client import SparkConnectClient

    from lakehouse.spark.session import _url

    client = SparkConnectClient(_url(session))
    try:
        return "RUNNING" in str(client._get_operation_statuses())
    finally:
        client.close()
