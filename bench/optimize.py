"""What upkeep costs, and what it costs again where nothing changed.

Promised: a second optimize rewrites nothing and costs at most a twentieth of the first. A table of many appended files
is laid out by two columns; the time is that of `lakehouse.maintenance.maintain` as the DAG calls it.
Usage: python -m bench.optimize [--rows 2000000] [--files 40] [--output result.json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.publish import rows
from lakehouse import paths
from lakehouse.config import settings
from lakehouse.delta import ColumnSpec, TableSpec, diff, drop_branch, fast_forward, latest_version, open_branch
from lakehouse.maintenance import maintain
from lakehouse.spark import connected
from lakehouse.spark.local import served

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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--output", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        work = Path(folder)
        (work / "spark").mkdir()
        folders = work / "tables" / "silver"
        folders.mkdir(parents=True)
        (folders / "lines").symlink_to(Path(__file__).parent / "tables" / "silver" / "lines")
        with served(work / "spark", driver_memory="4g") as endpoint:
            os.environ.update(
                LAKEHOUSE_HOME=str(work / "home"),
                LAKEHOUSE_TABLES=str(work / "tables"),
                LAKEHOUSE_SPARK_REMOTE=endpoint,
            )
            settings.cache_clear()
            found = measure(options.rows, options.files)
    text = json.dumps(found, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")
    raise SystemExit(found["ratio"] > 0.05)


if __name__ == "__main__":
    main()
