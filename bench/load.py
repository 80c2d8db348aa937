"""What loading landed rows to bronze costs beside a bare Spark read and Delta write of the same files.

Promised: with contract, quarantine, metadata columns, audit and publish, at most 1.5x, for 6M rows of which one in a
thousand breaks the contract. Both sides run in turn on one server with the settings of a real deployment; figures are
medians of the rounds after the first WARM, and what the first round took is told beside them.
Usage: python -m bench.load [--rows 6000000] [--rounds 3] [--output result.json]
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.door import arguments, medians, serving_spark, tell, workplace
from lakehouse import paths
from lakehouse.bronze.landed import landed
from lakehouse.bronze.load import LoadStamp, load
from lakehouse.contracts import load_contract
from lakehouse.delta import diff, drop_branch, fast_forward, open_branch
from lakehouse.delta import statistics as told_by
from lakehouse.ledger.windows import Window
from lakehouse.pipeline.spec import table_spec
from lakehouse.quality import check
from lakehouse.quality.keys import with_keys
from lakehouse.quality.known import Known
from lakehouse.quality.statistics import with_statistics
from lakehouse.spark import connected

CONTRACT = Path(__file__).parent / "tables" / "bronze" / "lines"
WINDOW = Window(datetime(2024, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
#: Landing files, as an extract in slices leaves them.
FILES = 12
#: Rounds until Java has compiled both sides: the bare one is as fast as it gets from the third on, ours, which is
#: longer, from the seventh on.
WARM = 6
RATIO = 1.5


def land(spark: Any, folder: Path, rows: int) -> None:
    """Landing files of `rows` order lines, a thousandth of them without a customer."""
    spark.sql(
        f"""SELECT id AS line_id, timestamp_seconds(1735689600 + id) AS changed_at,
          IF(pmod(hash(id), 1000) = 0, NULL, CAST(pmod(hash(id), 100000) AS BIGINT)) AS customer_id,
          date_add(DATE'2025-01-01', CAST(pmod(hash(id, 1), 365) AS INT)) AS order_date,
          CAST(1 + pmod(hash(id, 2), 100) AS INT) AS quantity,
          CAST(pmod(hash(id, 3), 100000) / 100 AS DECIMAL(18, 2)) AS price,
          element_at(array('placed', 'paid', 'shipped', 'delivered'), CAST(1 + pmod(hash(id, 4), 4) AS INT)) AS status,
          md5(CAST(id AS STRING)) AS comment
        FROM range(0, {rows}, 1, {FILES})"""
    ).write.option("compression", "zstd").parquet(str(folder))


def bare(spark: Any, folder: Path, target: Path) -> float:
    """Seconds of reading the files and writing them as a Delta table."""
    began = time.perf_counter()
    spark.read.parquet(*sorted(map(str, folder.glob("*.parquet")))).write.format("delta").save(str(target))
    return time.perf_counter() - began


def loaded(spark: Any, folder: Path, lake: Path, number: int, rows: int) -> dict[str, float]:
    """Seconds of the product's load of the files into a table of its own, by step."""
    contract = load_contract(CONTRACT)
    source = contract.source
    assert source
    path, batch = str(lake / f"loaded_{number}"), f"bench-{number}"
    # What quarantine holds already would not be set aside again.
    shutil.rmtree(paths.ops("quarantine"), ignore_errors=True)
    marks = [time.perf_counter()]
    files = landed(spark, str(folder))
    branch = open_branch(path, f"{path}/_branch/{batch}/1", table_spec(contract), "append")
    marks.append(time.perf_counter())
    stamp = LoadStamp(batch, 1, "1", "bench", datetime.now(UTC), "2025-01-01", "0" * 32)
    counts = load(contract, source, branch, files, {}, (WINDOW,), stamp)
    marks.append(time.perf_counter())
    told = told_by(branch.path)
    known = with_keys(with_statistics(Known(), contract, told), contract, branch.path, told)
    candidate = spark.read.format("delta").load(branch.path)
    audit = check(contract, candidate, spark.table, batch_id=batch, run_id="bench", known=known)
    marks.append(time.perf_counter())
    change = diff(branch)
    fast_forward(branch, f"bench/{batch}", 1, {}, expected=change.fingerprint)
    drop_branch(branch)
    marks.append(time.perf_counter())
    if not audit.passed or counts["judged"] != rows or change.rows_added + counts["quarantined"] != rows:
        raise SystemExit(f"The benchmark's own books do not balance: {counts}, {change.rows_added}, {audit.failures}")
    steps = [later - earlier for earlier, later in pairwise(marks)]
    return {**dict(zip(("branch", "load", "audit", "publish"), steps, strict=True)), "whole": marks[-1] - marks[0]}


def measure(spark: Any, work: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Both sides in turn, so that neither has the warmer server."""
    landing = work / "landing"
    land(spark, landing, rows)
    plain: list[float] = []
    ours: list[dict[str, float]] = []
    for number in range(WARM + rounds):
        plain.append(bare(spark, landing, work / "plain"))
        ours.append(loaded(spark, landing, work / "lake", number, rows))
        # The next round has the memory that these files take in the page cache: to get new one costs up to seconds.
        shutil.rmtree(work / "plain")
        shutil.rmtree(work / "lake")
    steps, whole = medians(ours[WARM:]), statistics.median(plain[WARM:])
    return {
        "rows": rows,
        "rounds": rounds,
        "bare": round(whole, 2),
        "loaded": steps,
        "ratio": round(steps["whole"] / whole, 3),
        "first": {"bare": round(plain[0], 2), "loaded": round(ours[0]["whole"], 2)},
    }


def main() -> None:
    """Measure and print JSON; exit code 1 where the promise is broken."""
    options = arguments(__doc__, rows=6_000_000, rounds=3).parse_args()
    with workplace() as work:
        os.environ["LAKEHOUSE_HOME"] = str(work / "home")
        with serving_spark(work), connected("bench") as spark:
            found = measure(spark, work, options.rows, options.rounds)
    tell(found, options.output, broken=found["ratio"] > RATIO)


if __name__ == "__main__":
    main()
