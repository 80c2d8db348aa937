"""What a hot key costs a join, with and without what `lakehouse.spark.skew` sets: its tasks' times, and the whole.

Six rows of ten have one customer, one in twenty has none. The other side is too large to be sent to every task.
Nothing is promised; the run fails where the settings do not make the longest task shorter.
Usage: python -m bench.skew [--rows 12000000] [--rounds 3] [--output result.json]
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from bench.door import arguments, medians, serving_spark, tell, workplace
from lakehouse.spark import connected

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
    return {"rows": rows, "rounds": rounds, **{side: medians(found) for side, found in runs.items()}}


def main() -> None:
    """Measure and print JSON; exit code 1 where the settings are of no use."""
    options = arguments(__doc__, rows=12_000_000, rounds=3).parse_args()
    with workplace() as work:
        (work / "events").mkdir()
        conf = {**CONF, "spark.eventLog.dir": (work / "events").as_uri()}
        with serving_spark(work, "4g", conf), connected("bench") as spark:
            found = measure(spark, work, options.rows, options.rounds)
    tell(found, options.output, broken=found["with"]["longest_task"] >= found["without"]["longest_task"])


if __name__ == "__main__":
    main()
