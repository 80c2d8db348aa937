"""What extracting a wide window costs beside the bare client, and how much memory it takes.

Promised: 5M rows, from Snowflake's stand-in and from PostgreSQL in Redshift's place, keep the extracting process under
600 MB and take at most 1.3x as long as the bare client's fetch of the same query into Arrow, nothing written: batches
of the Snowflake connector; fetches of a server-side cursor of psycopg2, made into Arrow columns. Extraction is all of
it: columns looked up, slices planned, landing files written. Each side runs in a process of its own, in turn; figures
are medians. Usage: python -m bench.extract [--rows 5000000] [--rounds 1] [--output result.json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.door import arguments, tell, workplace
from lakehouse import connections
from lakehouse.contracts import load_contract
from lakehouse.ingest.feed import open_feed
from lakehouse.ingest.landing import land
from lakehouse.ledger.windows import Window
from lakehouse.sandbox.some import serving

TABLES = Path(__file__).parent / "tables" / "bronze"
WINDOW = Window(datetime(2025, 8, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
MEMORY, RATIO = 600, 1.3
KINDS = {"snowflake": "SHOP.PUBLIC.CLICKS", "redshift": "shop.clicks"}
#: Rows of one fetch of the bare client.
FETCH = 50_000

ROWS = {
    "snowflake": """CREATE OR REPLACE TABLE SHOP.PUBLIC.CLICKS AS SELECT
      n::NUMBER(18,0) AS CLICK_ID, DATEADD('second', n, '2025-09-01 00:00:00'::TIMESTAMP_NTZ) AS LOADED_AT,
      (n * 7919 % 100000)::NUMBER(18,0) AS VISITOR_ID, '/products/' || (n % 5000) AS PAGE,
      (n % 100000 / 100)::NUMBER(18,2) AS PRICE, (n % 977 / 7)::FLOAT AS SECONDS, '2025-09-01'::DATE AS DAY,
      n % 3 = 0 AS MOBILE
    FROM (SELECT UNNEST(RANGE({rows})) AS n)""",
    "redshift": """CREATE TABLE shop.clicks AS SELECT
      n AS click_id, timestamp '2025-09-01' + n * interval '1 second' AS loaded_at,
      n * 7919 % 100000 AS visitor_id, '/products/' || (n % 5000) AS page,
      (n % 100000 / 100.0)::numeric(18,2) AS price, n % 977 / 7.0::float8 AS seconds, date '2025-09-01' AS day,
      n % 3 = 0 AS mobile
    FROM generate_series(0::bigint, {rows} - 1) AS n""",
}


def fill(kind: str, rows: int) -> None:
    """Make the source's table."""
    with connections.open_source(f"{kind}_default") as client, client.cursor() as cursor:
        if kind == "redshift":
            cursor.execute("CREATE SCHEMA IF NOT EXISTS shop")
        cursor.execute(ROWS[kind].format(rows=rows))
        if kind == "redshift":
            cursor.execute("ANALYZE shop.clicks")


def extracted(kind: str, folder: Path) -> int:
    """Rows landed in `folder` the product's way."""
    contract = load_contract(TABLES / f"clicks_{kind}")
    assert contract.source
    with connections.open_source(f"{kind}_default") as client:
        feed = open_feed(contract, contract.source, client)
        return land(contract, feed, [WINDOW], (), str(folder), lambda: b"", lambda line: None)


def fetched(kind: str, folder: Path) -> int:
    """Rows that the bare client gives as Arrow."""
    import pyarrow as pa

    query = f"SELECT * FROM {KINDS[kind]}"
    with connections.open_source(f"{kind}_default") as client:
        if kind == "snowflake":
            with client.cursor() as cursor:
                cursor.execute(query)
                return sum(table.num_rows for table in cursor.fetch_arrow_batches())
        count = 0
        with client.cursor(name="bare") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(FETCH):
                count += pa.table(
                    [pa.array(c) for c in zip(*rows, strict=True)], [d[0] for d in cursor.description]
                ).num_rows
        return count


SIDES: dict[str, Callable[[str, Path], int]] = {"extracted": extracted, "fetched": fetched}


def worker(side: str, kind: str, folder: Path) -> None:
    """One side, in this process: print rows, seconds and the most memory this process ever had (MB)."""
    began = time.perf_counter()
    rows = SIDES[side](kind, folder)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": round(seconds, 2), "peak_mb": round(peak)}))


def in_a_process(side: str, kind: str, rows: int) -> dict[str, Any]:
    """`worker` in a process of its own. Raises SystemExit where it did not give all rows."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        argv = [sys.executable, "-m", "bench.extract", "--side", side, "--kind", kind, "--folder", folder]
        ran = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ran.stdout)
    if found["rows"] != rows:
        raise SystemExit(f"{side} {kind}: {found['rows']} of {rows} rows.")
    return found


def measure(kind: str, rows: int, rounds: int) -> dict[str, Any]:
    """Both sides in turn."""
    fill(kind, rows)
    in_a_process("fetched", kind, rows)  # warms the source up
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, found in runs.items():
            found.append(in_a_process(side, kind, rows))
    seconds = {side: statistics.median(run["seconds"] for run in found) for side, found in runs.items()}
    return {
        "extract_s": seconds["extracted"],
        "bare_fetch_s": seconds["fetched"],
        "ratio": round(seconds["extracted"] / seconds["fetched"], 3),
        "extract_peak_mb": max(run["peak_mb"] for run in runs["extracted"]),
        "bare_peak_mb": max(run["peak_mb"] for run in runs["fetched"]),
    }


def main() -> None:
    """Measure and print JSON; exit code 1 where a promise is broken."""
    parser = arguments(__doc__, rows=5_000_000, rounds=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this source")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        worker(options.side, options.kind[0], options.folder)
        return
    found: dict[str, Any] = {"rows": options.rows, "rounds": options.rounds}
    for kind in options.kind or KINDS:
        # One at a time: an idle server of the other would still hold memory and cores.
        name = {"snowflake": "snowflake", "redshift": "postgres"}[kind]
        with workplace() as work, serving(work, name) as env:
            os.environ.update(env)
            found[kind] = measure(kind, options.rows, options.rounds)
    sides = [found[kind] for kind in options.kind or KINDS]
    broken = any(side["extract_peak_mb"] >= MEMORY or side["ratio"] > RATIO for side in sides)
    tell(found, options.output, broken)


if __name__ == "__main__":
    main()
