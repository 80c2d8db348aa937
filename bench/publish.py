"""What branch, audit and fast-forward cost beside the same writes done in place.

Promised: publishing a 5M-row append costs under 5% of writing it; branch + MERGE + audit + fast-forward costs at most
1.3x a plain MERGE in place. Both sides run in turn on one server with the settings of a real deployment; figures are
medians. Usage: python -m bench.publish [--rows 5000000] [--rounds 3] [--output result.json]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.door import arguments, medians, serving_spark, tell, workplace
from lakehouse.contracts import load_contract
from lakehouse.delta import ColumnSpec, TableSpec, diff, drop_branch, fast_forward, open_branch, statistics, table_sql
from lakehouse.quality import check
from lakehouse.quality.keys import with_keys
from lakehouse.quality.known import Known
from lakehouse.quality.statistics import with_statistics
from lakehouse.spark import connected

CONTRACT = Path(__file__).parent / "tables" / "silver" / "lines"


def rows(start: int, count: int) -> str:
    """SELECT of `count` rows with keys from `start`: an order line's width, the same at every run."""
    return f"""SELECT id AS line_id, CAST(pmod(hash(id), 100000) AS BIGINT) AS customer_id,
      date_add(DATE'2025-01-01', CAST(pmod(hash(id, 1), 365) AS INT)) AS order_date,
      CAST(1 + pmod(hash(id, 2), 100) AS INT) AS quantity,
      CAST(pmod(hash(id, 3), 100000) / 100 AS DECIMAL(18, 2)) AS price,
      element_at(array('placed', 'paid', 'shipped', 'delivered'), CAST(1 + pmod(hash(id, 4), 4) AS INT)) AS status,
      md5(CAST(id AS STRING)) AS comment
    FROM range({start}, {start + count})"""


def timed(what: Callable[[], Any]) -> float:
    """Seconds that `what` takes."""
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


class Bench:
    """One run against one server; tables under `lake`."""

    def __init__(self, spark: Any, lake: Path, count: int) -> None:
        self.spark, self.lake, self.count = spark, lake, count
        self.contract = load_contract(CONTRACT)
        self.spec = TableSpec(tuple(ColumnSpec(c.name, c.type) for c in self.contract.columns))

    def branch(self, table: str, mode: Any) -> Any:
        """A branch of `table` in a folder of its own."""
        path = f"{self.lake}/{table}"
        return open_branch(path, f"{path}/_branch/{uuid4()}/1", self.spec, mode)

    def append(self, table: str) -> dict[str, float]:
        """Write `count` rows to an append branch and publish it."""
        branch = self.branch(table, "append")
        frame = self.spark.sql(rows(0, self.count))
        write = timed(lambda: frame.write.format("delta").mode("append").save(branch.path))
        publish = timed(lambda: fast_forward(branch, f"bench/{uuid4()}", 1, {}, expected=diff(branch).fingerprint))
        return {"write": write, "publish": publish}

    def merge(self, path: str, shift: int) -> None:
        """MERGE a tenth of the table: half of the keys are there, half are new."""
        tenth = self.count // 10
        self.spark.sql(
            f"MERGE INTO {table_sql(path)} t USING ({rows(self.count - tenth // 2 + shift, tenth)}) s "
            "ON t.line_id = s.line_id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        ).collect()

    def published_merge(self, table: str, shift: int) -> dict[str, float]:
        """The same MERGE by branch, audit and fast-forward."""
        began = time.perf_counter()
        branch = self.branch(table, "clone")
        opened = time.perf_counter()
        self.merge(branch.path, shift)
        merged = time.perf_counter()
        candidate = self.spark.read.format("delta").load(branch.path)
        told = statistics(branch.path)
        known = with_keys(with_statistics(Known(), self.contract, told), self.contract, branch.path, told)
        verdict = check(self.contract, candidate, self.spark.table, batch_id="bench", run_id="bench", known=known)
        if not verdict.passed:
            raise SystemExit(f"The benchmark's own rows fail its contract: {verdict.failures}")
        audited = time.perf_counter()
        fast_forward(branch, f"bench/{uuid4()}", 1, {}, expected=diff(branch).fingerprint)
        drop_branch(branch)
        ended = time.perf_counter()
        return {
            "branch": opened - began,
            "merge": merged - opened,
            "audit": audited - merged,
            "publish": ended - audited,
            "whole": ended - began,
        }


def measure(spark: Any, lake: Path, count: int, rounds: int) -> dict[str, Any]:
    """All figures, in seconds. The two sides of the MERGE take turns, so that neither has the warmer server."""
    bench = Bench(spark, lake, count)
    bench.append("warm_up")
    appends = [bench.append(f"append_{n}") for n in range(rounds)]
    in_place, published = [], []
    for table in ("plain", "branched"):
        bench.append(table)
    for n in range(rounds + 1):
        shift = n * count // 20
        plain = timed(lambda shift=shift: bench.merge(f"{lake}/plain", shift))  # type: ignore[misc]
        branched = bench.published_merge("branched", shift)
        if n:  # the first round warms both up
            in_place.append({"whole": plain})
            published.append(branched)
    append, plain, branched = medians(appends, 3), medians(in_place, 3), medians(published, 3)
    return {
        "rows": count,
        "rounds": rounds,
        "append": append,
        "append_publish_share": round(append["publish"] / append["write"], 4),
        "merge_in_place": plain["whole"],
        "merge_published": branched,
        "merge_ratio": round(branched["whole"] / plain["whole"], 3),
    }


def main() -> None:
    """Measure and print JSON; exit code 1 where a promise is broken."""
    options = arguments(__doc__, rows=5_000_000, rounds=3).parse_args()
    with workplace() as work, serving_spark(work), connected("bench") as spark:
        found = measure(spark, work / "lake", options.rows, options.rounds)
    tell(found, options.output, broken=found["append_publish_share"] > 0.05 or found["merge_ratio"] > 1.3)


if __name__ == "__main__":
    main()
