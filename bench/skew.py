"""What a hot key costs a join, with and without what `lakehouse.spark.skew` sets: its tasks' times, and the whole.

Six rows of ten have one customer, one in twenty has none. The other side is too large to be sent to every task.
Nothing is promised; the run fails where the settings do not make the longest task shorter.
Usage: python -m bench.skew [--rows 12000000] [--rounds 3] [--output result.json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from lakehouse.config import settings
from lakehouse.spark import connected
from lakehouse.spark.local import served

FACTS = """SELECT id, CASE WHEN pmod(hash(id), 20) = 0 THEN NULL WHEN pmod(hash(id), 20) < 13 THEN 7
    ELSE pmod(xxhash64(id), {keys}) END AS customer_id,
  sha2(CAST(id AS STRING), 256) AS note FROM range({rows})"""
CUSTOMERS = "SELECT id AS customer_id, md5(CAST(id AS STRING)) AS name FROM range({keys})"
JOIN = "SELECT f.*, c.name FROM facts f LEFT JOIN customers c ON f.customer_id = c.customer_id"
#: As many as a cluster's default would leave to two cores.
CONF = {
    "spark.sql.shuffle.partitions": "32",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.compress": "false",
}
OFF = {
    "spark.sql.adaptive.skewJoin.enabled": "false",
    "spark.sql.adaptive.optimizeSkewsInRebalancePartitions.enabled": "false",
}


def task_seconds(events: Path, since: int) -> list[float]:
    """Run times of the tasks of the last stage that the event log tells of from line `since` on."""
    told = [json.loads(line) for line in events.read_text().splitlines()[since:] if "SparkListenerTaskEnd" in line]
    last = max(event["Stage ID"] for event in told)
    return sorted(e["Task Metrics"]["Executor Run Time"] / 1000 for e in told if e["Stage ID"] == last)


def joined(spark: Any, events: Path) -> dict[str, float]:
    """Seconds of the join, and how they spread over its tasks."""
    since = len(events.read_text().splitlines())
    began = time.perf_counter()
    spark.sql(JOIN).write.format("noop").mode("overwrite").save()
    whole = time.perf_counter() - began
    tasks = task_seconds(events, since)
    return {"whole": whole, "tasks": len(tasks), "median_task": statistics.median(tasks), "longest_task": tasks[-1]}


def measure(spark: Any, work: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Both ways in turn, on one server; the first round warms it up."""
    keys = rows // 6
    for name, query in (("facts", FACTS), ("customers", CUSTOMERS)):
        spark.sql(query.format(rows=rows, keys=keys)).write.format("delta").save(str(work / name))
        spark.read.format("delta").load(str(work / name)).createOrReplaceTempView(name)
    (events,) = (work / "events").iterdir()
    runs: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    for number in range(rounds + 1):
        for side, found in runs.items():
            for name, off in OFF.items():
                spark.conf.set(name, "true" if side == "with" else off)
            took = joined(spark, events)
            if number:
                found.append(took)
    told = {
        side: {name: round(statistics.median(run[name] for run in found), 2) for name in found[0]}
        for side, found in runs.items()
    }
    return {"rows": rows, "rounds": rounds, **told}


def main() -> None:
    """Measure and print JSON; exit code 1 where the settings are of no use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        work = Path(folder)
        for name in ("spark", "events"):
            (work / name).mkdir()
        conf = {**CONF, "spark.eventLog.dir": (work / "events").as_uri()}
        with served(work / "spark", driver_memory="4g", conf=conf) as endpoint:
            os.environ["LAKEHOUSE_SPARK_REMOTE"] = endpoint
            settings.cache_clear()
            with connected("bench") as spark:
                found = measure(spark, work, options.rows, options.rounds)
    text = json.dumps(found, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    raise SystemExit(found["with"]["longest_task"] >= found["without"]["longest_task"])


if __name__ == "__main__":
    main()
