"""What upkeep costs, and what it costs again where nothing changed.

Promised: a second optimize rewrites nothing and costs at most a twentieth of the first. A table of many appended files
is laid out by two columns; the time is that of `lakehouse.maintenance.maintain` as the DAG calls it.
Usage: python -m bench.optimize [--rows 2000000] [--files 40] [--output result.json]
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.door import arguments, serving_spark, tell, workplace
from bench.publish import rows
from lakehouse import paths
from lakehouse.delta import ColumnSpec, TableSpec, diff, drop_branch, fast_forward, latest_version, open_branch
from lakehouse.maintenance import maintain
from lakehouse.spark import connected

NAME = "silver.lines"
ORDER = ("customer_id", "order_date")


def fill(spark: Any, count: int, files: int) -> None:
    """Append `count` rows in so many files, each published as a load of its own."""
    path, each = paths.table(NAME), count // files
    for number in range(files):
        frame = spark.sql(rows(number * each, each)).coalesce(1)
        spec = TableSpec(tuple(ColumnSpec(name, kind.upper()) for name, kind in frame.dtypes))
        branch = open_branch(path, f"{path}/_branch/{uuid4()}/1", spec, "append")
        frame.write.format("delta").mode("append").save(branch.path)
        fast_forward(branch, f"bench/{uuid4()}", 1, {}, expected=diff(branch).fingerprint)
        drop_branch(branch)


def measure(count: int, files: int) -> dict[str, Any]:
    """Seconds of two upkeeps in a row, and the files before and after."""
    with connected("bench") as spark:
        fill(spark, count, files)
    found = []
    for _ in range(2):
        began = time.perf_counter()
        done = maintain(NAME, ORDER)
        found.append((time.perf_counter() - began, done, latest_version(paths.table(NAME))))
    (first, one, version), (second, two, after) = found
    if two.files.state != "unchanged" or after != version:
        raise SystemExit(f"The second optimize did something: {two.to_row()}")
    return {
        "rows": count,
        "files_before": one.files.before.files,
        "files_after": one.files.after.files,
        "bytes_after": one.files.after.bytes,
        "first_seconds": round(first, 3),
        "second_seconds": round(second, 3),
        "ratio": round(second / first, 4),
    }


def main() -> None:
    """Measure and print JSON; exit code 1 where the promise is broken."""
    options = arguments(__doc__, rows=2_000_000, files=40).parse_args()
    with workplace() as work:
        folders = work / "tables" / "silver"
        folders.mkdir(parents=True)
        (folders / "lines").symlink_to(Path(__file__).parent / "tables" / "silver" / "lines")
        os.environ.update(LAKEHOUSE_HOME=str(work / "home"), LAKEHOUSE_TABLES=str(work / "tables"))
        with serving_spark(work, "4g"):
            found = measure(options.rows, options.files)
    tell(found, options.output, broken=found["ratio"] > 0.05)


if __name__ == "__main__":
    main()
