"""What 100,000 changes cost a versioned dimension of 5M rows, beside a MERGE of the same written by hand.

Promised: at most 1.5x. Ours finds the affected keys in the change feed, goes on from the versions that hold before
their first change, in whatever order changes came, and merges what differs; the one by hand closes current rows and
inserts new ones in place, and is right only for changes that come in order. Both are partitioned by whether a version
is current. Nine changes of ten are of members that are there. Both sides run in
turn on one server with the settings of a real deployment; figures are medians.
Usage: python -m bench.scd2 [--rows 5000000] [--changes 100000] [--rounds 3] [--output result.json]
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.door import arguments, serving_spark, tell, workplace
from lakehouse import log, paths
from lakehouse.contracts import load_contract
from lakehouse.delta import Branch, diff, fast_forward, open_branch, table_sql
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.spec import table_spec
from lakehouse.pipeline.transform import compute
from lakehouse.spark import connected

TABLES = Path(__file__).parent / "tables"
BRONZE, DIMENSION = "bronze.members", "gold.dim_member"
NOW = datetime(2025, 1, 1, tzinfo=UTC)
RATIO = 1.5

#: Rows `{low}` to `{high}` of round {n} as bronze has them; in later rounds nine of ten are members that are there.
CHANGES = """SELECT member_id, timestamp_seconds(1735689600 + 86400 * {n}) AS changed_at,
  md5(CAST(member_id AS STRING)) AS name,
  element_at(array('consumer', 'business', 'vip'), CAST(1 + pmod(member_id + {n}, 3) AS INT)) AS segment,
  concat('city ', pmod(hash(member_id, {n}), 500)) AS city, FALSE AS is_deleted,
  current_timestamp() AS _ingest_ts, 'bench-{n}' AS _batch_id, 'bench' AS _source_system, DATE'2025-01-01' AS _run_date,
  CAST(NULL AS STRING) AS _extra, xxhash64(member_id, {n}) AS _row_hash
FROM (SELECT {member} AS member_id FROM range({low}, {high}))"""

#: Staged once to close what is there and once to insert what is new, as it is usually written.
BY_HAND = """MERGE INTO {table} t USING (
  SELECT c.*, IF(closes IS NULL, changed_at, TIMESTAMP'1900-01-01T00:00:00Z') AS opens FROM (
    SELECT member_id AS closes, * FROM changes
    UNION ALL
    SELECT NULL AS closes, c.* FROM changes c JOIN {table} d ON c.member_id = d.member_id AND d.is_current
    WHERE NOT (c.name <=> d.name AND c.segment <=> d.segment AND c.city <=> d.city)
  ) c
) s ON t.member_id = s.closes AND t.is_current
WHEN MATCHED AND NOT (t.name <=> s.name AND t.segment <=> s.segment AND t.city <=> s.city)
  THEN UPDATE SET valid_to = s.changed_at, is_current = FALSE
WHEN NOT MATCHED THEN INSERT (member_sk, member_id, valid_from, valid_to, is_current, name, segment, city,
    _batch_id, _run_date, _updated_ts)
  VALUES (xxhash64(s.member_id, s.opens), s.member_id, s.opens, TIMESTAMP'9999-12-31T00:00:00Z', TRUE,
    s.name, s.segment, s.city, s._batch_id, s._run_date, s._ingest_ts)"""


def arrive(spark: Any, rows: int, count: int, number: int) -> None:
    """Publish `count` changes to bronze as round `number`, and leave them as the view `changes`."""
    low, high = (0, rows) if number == 0 else (number * count, number * count + count)
    there = f"IF(id % 10 = 0, {rows} + id, pmod(hash(id), {rows}))"
    source = CHANGES.format(n=number, low=low, high=high, member="id" if number == 0 else there)
    path, spec = paths.table(BRONZE), table_spec(load_contract(TABLES / "bronze" / "members"))
    branch = open_branch(path, f"{path}/_branch/{uuid4()}/1", spec, "append")
    # A key changes once a round, for a MERGE by hand could not take it twice.
    spark.sql(source).dropDuplicates(["member_id"]).write.format("delta").mode("append").save(branch.path)
    fast_forward(branch, f"bench/{number}", 1, {}, expected=diff(branch).fingerprint)
    spark.read.format("delta").load(path).where(f"_batch_id = 'bench-{number}'").createOrReplaceTempView("changes")


def applied(number: int) -> float:
    """Seconds of our transform step; its branch is published afterwards."""
    began = time.perf_counter()
    batch = compute(load_contract(TABLES / "gold" / "dim_member"), Run(f"bench/{number}", "scheduled", end=NOW))
    seconds = time.perf_counter() - began
    batch = replace(batch, audited=diff(Branch.from_json(batch.branch)).fingerprint)
    publish([batch], lambda batch, _: batch)
    return seconds


def same(spark: Any, ours: str, theirs: str) -> bool:
    """Whether both tables hold the same versions."""
    names = "member_sk, member_id, valid_from, valid_to, is_current, name, segment, city"
    sums = [
        spark.sql(f"SELECT count(*), sum(CAST(xxhash64({names}) AS DECIMAL(38))) FROM {table}").collect()
        for table in (ours, theirs)
    ]
    return sums[0] == sums[1]


def measure(spark: Any, work: Path, rows: int, changes: int, rounds: int) -> dict[str, Any]:
    """Both sides in turn, so that neither has the warmer server; the first round warms both up."""
    arrive(spark, rows, changes, 0)
    full = applied(0)
    ours, hand = table_sql(paths.table(DIMENSION)), table_sql(str(work / "by_hand"))
    copy = spark.read.format("delta").load(paths.table(DIMENSION))
    copy.write.format("delta").partitionBy("is_current").save(str(work / "by_hand"))
    times: dict[str, list[float]] = {"ours": [], "by_hand": []}
    for number in range(1, rounds + 2):
        arrive(spark, rows, changes, number)
        one = applied(number)
        began = time.perf_counter()
        spark.sql(BY_HAND.format(table=hand)).collect()
        other = time.perf_counter() - began
        if number > 1:
            times["ours"].append(one)
            times["by_hand"].append(other)
    if not same(spark, ours, hand):
        raise SystemExit("The two dimensions differ.")
    found = {name: round(statistics.median(seconds), 2) for name, seconds in times.items()}
    told = {"rows": rows, "changes": changes, "rounds": rounds, "in_full": round(full, 2), **found}
    return {**told, "ratio": round(found["ours"] / found["by_hand"], 3)}


def main() -> None:
    """Measure and print JSON; exit code 1 where the promise is broken."""
    options = arguments(__doc__, rows=5_000_000, changes=100_000, rounds=3).parse_args()
    with workplace() as work:
        log.configure(work / "bench.jsonl")
        os.environ.update(LAKEHOUSE_HOME=str(work), LAKEHOUSE_TABLES=str(TABLES))
        with serving_spark(work), connected("bench") as spark:
            found = measure(spark, work, options.rows, options.changes, options.rounds)
    tell(found, options.output, broken=found["ratio"] > RATIO)


if __name__ == "__main__":
    main()
