"""What 31 days cost as one range beside 31 daily runs of the same rows.

Promised: at most 0.2x, and the same content. Two lakes over one source, Snowflake's stand-in, and one Spark server with
the settings of a real deployment; a bronze table and a silver one that merges it, both with contract, gate and publish
as the DAGs have them. Scheduling is not in the figures: with it days would cost more still.
Usage: python -m bench.backfill [--days 31] [--rows 20000] [--output result.json]
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.door import arguments, serving_spark, tell, workplace
from lakehouse import backfill, connections, log, manifest, paths
from lakehouse.config import settings
from lakehouse.ledger.windows import Window
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.run import run_tables
from lakehouse.sandbox.some import serving

TABLES = ("bronze/clicks_snowflake", "silver/visitors")
FIRST = datetime(2025, 9, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RATIO = 0.2

ROWS = """CREATE OR REPLACE TABLE SHOP.PUBLIC.CLICKS AS SELECT
  n::NUMBER(18,0) AS CLICK_ID,
  DATEADD('microsecond', (n + 1) * {step}, '2025-09-01 00:00:00'::TIMESTAMP_NTZ) AS LOADED_AT,
  (n * 7919 % 50000)::NUMBER(18,0) AS VISITOR_ID, '/products/' || (n % 5000) AS PAGE,
  (n % 100000 / 100)::NUMBER(18,2) AS PRICE, (n % 977 / 7)::FLOAT AS SECONDS, '2025-09-01'::DATE AS DAY,
  n % 3 = 0 AS MOBILE
FROM (SELECT UNNEST(RANGE({rows})) AS n)"""


@contextmanager
def lake(home: Path) -> Iterator[manifest.Manifest]:
    """A lake of its own in `home`, with the benchmark's tables."""
    for name in TABLES:
        (home / "tables" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "tables" / name).symlink_to(Path(__file__).parent / "tables" / name)
    os.environ.update(LAKEHOUSE_HOME=str(home), LAKEHOUSE_TABLES=str(home / "tables"))
    settings.cache_clear()
    yield manifest.load()


def by_day(tables: manifest.Manifest, days: int) -> float:
    """Seconds of a run a day."""
    began = time.perf_counter()
    for number in range(days):
        low = FIRST + number * DAY
        run = Run(f"bench/{number}", "scheduled", end=low + DAY, start=low)
        run_tables(tables, tables.entries, run, connections.open_source, lambda: b"key", lambda table, step: None)
    return time.perf_counter() - began


def by_range(tables: manifest.Manifest, days: int) -> float:
    """Seconds of all days as one backfill."""
    began = time.perf_counter()
    asked = backfill.Request(("bronze.*",), Window(FIRST, FIRST + days * DAY), "source")
    plan = backfill.plan(tables, asked)
    backfill.work(tables, plan, connections.open_source, lambda: b"key", lambda place, step: None)
    return time.perf_counter() - began


def content() -> dict[str, Any]:
    """Rows of both tables, counted and hashed, operational columns aside."""
    import duckdb

    from lakehouse.delta import dataset

    found = {}
    for name in TABLES:
        rows = dataset(paths.table(name.replace("/", ".")))
        assert rows is not None
        columns = ", ".join(n for n in rows.schema.names if not n.startswith("_"))
        with duckdb.connect() as db:
            db.register("rows", rows)
            found[name] = db.execute(f"SELECT count(*), sum(hash({columns})::HUGEINT) FROM rows").fetchall()
    return found


def measure(work: Path, days: int, rows: int) -> dict[str, Any]:
    """Both, after one day in a lake of its own has warmed up source and server."""
    with closing(connections.open_source("snowflake_default")) as client, client.cursor() as cursor:
        cursor.execute(ROWS.format(rows=days * rows, step=days * 86_400_000_000 // (days * rows)))
    with lake(work / "warm") as tables:
        by_day(tables, 1)
    with lake(work / "days") as tables:
        daily = by_day(tables, days)
        expected = content()
    with lake(work / "range") as tables:
        once = by_range(tables, days)
        if content() != expected:
            raise SystemExit("The range's content is not that of the days.")
    found = {"days": days, "rows": days * rows, "daily_s": round(daily, 1), "range_s": round(once, 1)}
    return {**found, "ratio": round(once / daily, 3)}


def main() -> None:
    """Measure and print JSON; exit code 1 where the promise is broken."""
    parser = arguments(__doc__, days=31)
    parser.add_argument("--rows", type=int, default=20_000, help="rows a day")
    options = parser.parse_args()
    with workplace() as work:
        (work / "source").mkdir()
        log.configure(work / "bench.jsonl")
        with serving(work / "source", "snowflake") as told, serving_spark(work, "4g"):
            os.environ.update(told)
            found = measure(work, options.days, options.rows)
    tell(found, options.output, broken=found["ratio"] > RATIO)


if __name__ == "__main__":
    main()
