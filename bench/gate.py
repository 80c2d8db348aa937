"""What a gate costs: eight rules over 5M rows, beside the same rules at COMPLETE and one aggregate written by hand.

Promised of rows that pass: at most 0.4x the rules as Great Expectations' own expectations at COMPLETE, at most 2x the
aggregate, at most 12 Spark jobs. What a failed rule costs besides (its count, and a few keys) is measured too. Figures
are medians of rounds that take turns. Usage: python -m bench.gate [--rows 5000000] [--rounds 3] [--output result.json]
"""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.door import arguments, serving_spark, tell, workplace
from bench.publish import CONTRACT, rows
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import statistics as told_by
from lakehouse.delta import table_sql
from lakehouse.quality import check
from lakehouse.quality.engine import quiet, validate
from lakehouse.quality.keys import with_keys
from lakehouse.quality.known import Known
from lakehouse.quality.statistics import with_statistics
from lakehouse.spark import connected

#: The contract's rules as somebody would write them who has never heard of gates.
BY_HAND = """SELECT count(*), count_if(line_id IS NULL), count_if(customer_id IS NULL), count_if(order_date IS NULL),
  count_if(quantity NOT BETWEEN 1 AND 100), count_if(price < 0), count_if(length(comment) > 80),
  count_if(status NOT IN ('placed', 'paid', 'shipped', 'delivered')), count(*) - count(DISTINCT line_id)
FROM {table}"""


class Jobs:
    """Counts the server's Spark jobs, by its UI's own account."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/api/v1/applications"

    def count(self) -> int:
        """Jobs so far."""
        (application,) = self._get("")
        return len(self._get(f"/{application['id']}/jobs"))

    def _get(self, path: str) -> Any:
        with urlopen(f"{self.base}{path}", timeout=30) as answer:
            return json.load(answer)


def natives(contract: Contract) -> Any:
    """The contract's rules as Great Expectations' own expectations, as somebody would write them by its manual."""
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe

    made = []
    for rule in contract.rules:
        column, params = rule.columns[0], rule.params
        if rule.kind == "not_null":
            made.append(gxe.ExpectColumnValuesToNotBeNull(column=column))
        elif rule.kind == "one_of":
            made.append(gxe.ExpectColumnValuesToBeInSet(column=column, value_set=params["values"]))
        elif rule.kind == "range":
            low, high = params.get("minimum"), params.get("maximum")
            made.append(gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high))
        elif rule.kind == "length":
            made.append(gxe.ExpectColumnValueLengthsToBeBetween(column=column, max_value=params["max_length"]))
        elif rule.kind == "unique":
            made.append(gxe.ExpectColumnValuesToBeUnique(column=column))
    if len(made) != len(contract.rules):
        raise SystemExit("A rule of the benchmark's contract has no expectation of its own.")
    return ExpectationSuite(name="natives", expectations=made)


def measure(spark: Any, lake: Path, count: int, rounds: int, jobs: Jobs) -> dict[str, Any]:
    """All figures, in seconds."""
    from pyspark.sql.functions import expr

    contract = load_contract(CONTRACT)
    good, odd = f"{lake}/lines", f"{lake}/odd"
    spark.sql(rows(0, count)).select(*[c.name for c in contract.columns]).write.format("delta").save(good)
    candidate = spark.read.format("delta").load(good)
    # One row in ten thousand costs less than nothing.
    price = expr("IF(pmod(line_id, 10000) = 0, CAST(-1 AS DECIMAL(18, 2)), price)")
    candidate.withColumn("price", price).write.format("delta").save(odd)

    def gate(path: str = good) -> Any:
        told = told_by(path)
        known = with_keys(with_statistics(Known(), contract, told), contract, path, told)
        frame = spark.read.format("delta").load(path)
        return check(contract, frame, spark.table, batch_id="bench", run_id="bench", known=known)

    def clean() -> None:
        if gate().failures:
            raise SystemExit("The benchmark's own rows fail their contract.")

    def failing() -> None:
        found = [(r.rule, r.failed_rows) for r in gate(odd).failures]
        if found != [("price_in_range", -(-count // 10000))]:
            raise SystemExit(f"The benchmark's odd rows fail otherwise than made: {found}")

    def complete() -> None:
        with quiet():
            validate(natives(contract), candidate, "COMPLETE")

    def by_hand() -> None:
        spark.sql(BY_HAND.format(table=table_sql(good))).collect()

    sides: dict[str, Callable[[], None]] = {
        "gate": clean,
        "gate_with_a_failed_rule": failing,
        "complete": complete,
        "by_hand": by_hand,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    spark_jobs: dict[str, int] = {}
    for number in range(rounds + 1):
        for name, side in sides.items():
            before, began = jobs.count(), time.perf_counter()
            side()
            took = time.perf_counter() - began
            spark_jobs[name] = jobs.count() - before
            if number:  # the first round warms all up
                seconds[name].append(took)
    middle = {name: round(statistics.median(values), 3) for name, values in seconds.items()}
    return {
        "rows": count,
        "rules": len(contract.rules),
        "rounds": rounds,
        "seconds": middle,
        "jobs": spark_jobs,
        "share_of_complete": round(middle["gate"] / middle["complete"], 3),
        "times_by_hand": round(middle["gate"] / middle["by_hand"], 3),
    }


def main() -> None:
    """Measure and print JSON; exit code 1 where a promise is broken."""
    options = arguments(__doc__, rows=5_000_000, rounds=3).parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ui = {"spark.ui.enabled": "true", "spark.ui.port": str(port)}
    with workplace() as work, serving_spark(work, conf=ui), connected("bench") as spark:
        found = measure(spark, work / "lake", options.rows, options.rounds, Jobs(port))
    broken = found["share_of_complete"] > 0.4 or found["times_by_hand"] > 2 or found["jobs"]["gate"] > 12
    tell(found, options.output, broken)


if __name__ == "__main__":
    main()
