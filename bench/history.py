"""What a day costs beside ten times the history: files and bytes it rewrites, and bytes that Spark reads for it.

Promised: with 10 times the history, built by one range load, a day rewrites as many files and bytes and reads at most
1.25x, for bronze, silver, a versioned dimension and a fact. Two lakes, each with a source of its own, Snowflake's
stand-in; facts and silver are partitioned by day and the dimension by whether a version is current, as tables are that
fill a file with a partition. What is rewritten is what the Delta log says, what is read, by the gate too, what the
tasks of Spark say. Told by itself is the reading of the log, some hundred bytes a file.
Usage: python -m bench.history [--days 20] [--rows 20000] [--output result.json]
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.door import arguments, serving_spark, tell, workplace
from lakehouse import backfill, connections, log, manifest, paths
from lakehouse.config import settings
from lakehouse.delta import latest_version
from lakehouse.ledger.windows import Window
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.run import run_tables
from lakehouse.sandbox.some import serving

TABLES = ("bronze/members", "bronze/purchases", "gold/dim_member", "silver/purchases", "gold/fact_purchases")
END = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TIMES, RATIO = 10, 1.25
WRITTEN = ("removed_files", "removed_bytes", "added_files", "added_bytes")
MEMBERS, MOVES = 20_000, 200
#: What Delta calls what it knows of a table from its log.
LOGS = "Delta Table State"

#: A day's purchases, spread over it; of each ten one has another state a day later.
PURCHASES = """CREATE OR REPLACE TABLE SHOP.PUBLIC.PURCHASES AS SELECT
  n::NUMBER(18,0) AS PURCHASE_ID, DATEADD('day', later, moment) AS CHANGED_AT, moment AS PURCHASED_AT,
  (n * 7919 % {members})::NUMBER(18,0) AS MEMBER_ID, (n % 100000 / 100)::NUMBER(18,2) AS AMOUNT,
  CASE WHEN later = 0 THEN 'placed' ELSE 'paid' END AS STATE
FROM (SELECT n, later, DATEADD('microsecond', (n + 1) * {step}, '{start}'::TIMESTAMP_NTZ) AS moment
  FROM (SELECT UNNEST(RANGE({rows})) AS n), (SELECT UNNEST(RANGE(2)) AS later) WHERE later = 0 OR n % 10 = 0)"""
#: All members in the first second, then as many moves a day.
CHANGES = """CREATE OR REPLACE TABLE SHOP.PUBLIC.MEMBERS AS SELECT
  m::NUMBER(18,0) AS MEMBER_ID, moment AS CHANGED_AT, 'member ' || m AS NAME,
  'consumer' AS SEGMENT, 'city ' || n AS CITY, FALSE AS IS_DELETED
FROM (SELECT n, n AS m, DATEADD('microsecond', n + 1, '{start}'::TIMESTAMP_NTZ) AS moment
    FROM (SELECT UNNEST(RANGE({members})) AS n)
  UNION ALL SELECT n, n * 104729 % {members} AS m,
    DATEADD('microsecond', (n + 1) * {move}, DATEADD('second', 1, '{start}'::TIMESTAMP_NTZ)) AS moment
    FROM (SELECT UNNEST(RANGE({moves})) AS n))"""


@dataclass
class Reading:
    """Bytes that tasks read, by the event log of Spark: of data, of it in the gate, and of logs."""

    events: Path
    lines: int = 0
    bytes: dict[str, int] = field(default_factory=dict)
    #: The step that is going on.
    now: str = ""
    #: Stages of jobs that read a table's log.
    of_logs: set[int] = field(default_factory=set)

    def begin(self) -> None:
        """Forget what was read so far."""
        self.now = ""
        self.step("", "")
        self.bytes = {"read": 0, "read_by_gate": 0, "read_of_logs": 0}

    def step(self, _: str, name: str) -> None:
        """The step that is going on is over, and `name` begins."""
        told = self.events.read_text().splitlines()
        new, self.lines = told[self.lines :], len(told)
        for event in map(json.loads, new):
            if event["Event"] == "SparkListenerJobStart":
                rdds = {rdd["Name"] for stage in event["Stage Infos"] for rdd in stage["RDD Info"]}
                if any(name.startswith(LOGS) for name in rdds):
                    self.of_logs |= set(event["Stage IDs"])
            elif event["Event"] == "SparkListenerTaskEnd" and event.get("Task Metrics") and self.now:
                read = event["Task Metrics"]["Input Metrics"]["Bytes Read"]
                of_logs = event["Stage ID"] in self.of_logs
                self.bytes["read_of_logs" if of_logs else "read"] += read
                self.bytes["read_by_gate"] += 0 if of_logs or not self.now.endswith("gate") else read
        self.now = name


@contextmanager
def lake(home: Path, days: int, rows: int) -> Iterator[manifest.Manifest]:
    """A lake of its own in `home`, its source with `days` of history and one day more."""
    start, micros = END - days * DAY, 86_400_000_000
    with closing(connections.open_source("snowflake_default")) as client, client.cursor() as cursor:
        told = {"start": f"{start:%Y-%m-%d %H:%M:%S}", "members": MEMBERS}
        cursor.execute(PURCHASES.format(rows=(days + 1) * rows, step=micros // rows, **told))
        cursor.execute(CHANGES.format(moves=(days + 1) * MOVES, move=micros // MOVES, **told))
    for name in TABLES:
        (home / "tables" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "tables" / name).symlink_to(Path(__file__).parent / "tables" / name)
    os.environ.update(LAKEHOUSE_HOME=str(home), LAKEHOUSE_TABLES=str(home / "tables"), LAKEHOUSE_INCREMENTS_FROM="0")
    settings.cache_clear()
    yield manifest.load()


def rewritten(name: str, since: int) -> dict[str, int]:
    """What the commits of a table after version `since` took away and put in their place, change data aside."""
    found = dict.fromkeys(WRITTEN, 0)
    for version in range(since + 1, latest_version(paths.table(name)) + 1):
        for line in (Path(paths.table(name)) / "_delta_log" / f"{version:020}.json").read_text().splitlines():
            for kind, content in json.loads(line).items():
                if kind in ("remove", "add"):
                    what = "removed" if kind == "remove" else "added"
                    found[f"{what}_files"] += 1
                    found[f"{what}_bytes"] += content["size"]
    return found


def day(home: Path, days: int, rows: int, reading: Reading) -> dict[str, dict[str, int]]:
    """{table: what the day after `days` of history cost it}; the history comes by one range load."""
    found = {}
    with lake(home, days, rows) as tables:
        asked = backfill.Request(("bronze.*",), Window(END - days * DAY - DAY, END), "source")
        plan = backfill.plan(tables, asked)
        backfill.work(tables, plan, connections.open_source, lambda: b"key", lambda place, step: None)
        run = Run("bench/day", "scheduled", end=END + DAY, start=END)
        for name in TABLES:
            table = name.replace("/", ".")
            before = latest_version(paths.table(table))
            reading.begin()
            run_tables(tables, [tables[table]], run, connections.open_source, lambda: b"key", reading.step)
            reading.step(table, "")
            found[table] = {**rewritten(table, before), **reading.bytes}
    return found


def main() -> None:
    """Measure and print JSON; exit code 1 where the promise is broken."""
    parser = arguments(__doc__, days=20)
    parser.add_argument("--rows", type=int, default=20_000, help="purchases a day")
    options = parser.parse_args()
    with workplace() as work:
        (work / "source").mkdir()
        (work / "events").mkdir()
        log.configure(work / "bench.jsonl")
        logged = {"enabled": "true", "rolling.enabled": "false", "compress": "false", "dir": (work / "events").as_uri()}
        conf = {f"spark.eventLog.{name}": value for name, value in logged.items()}
        # Ranges of a file that are read at once are not among what tasks say they read.
        conf["spark.hadoop.parquet.hadoop.vectored.io.enabled"] = "false"
        with serving(work / "source", "snowflake") as told, serving_spark(work, "4g", conf):
            os.environ.update(told)
            (events,) = (work / "events").iterdir()
            reading = Reading(events)
            once = day(work / "once", options.days, options.rows, reading)
            tenfold = day(work / "tenfold", TIMES * options.days, options.rows, reading)
    ratios = {
        table: {name: round(tenfold[table][name] / max(value, 1), 3) for name, value in figures.items()}
        for table, figures in once.items()
    }
    broken = any(r["read"] > RATIO or any(r[name] > RATIO for name in WRITTEN) for r in ratios.values())
    found = {"days": options.days, "rows": options.rows, "once": once, "tenfold": tenfold, "ratios": ratios}
    tell(found, options.output, broken)


if __name__ == "__main__":
    main()
