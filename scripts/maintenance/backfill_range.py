"""A door onto `lakehouse backfill`: python scripts/maintenance/backfill_range.py --table orders --start D1 --end D2"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def arguments(argv: Sequence[str] | None = None) -> list[str]:
    """The same, as `lakehouse` takes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", nargs="+", required=True, help="orders (a source and all below it) or silver.orders")
    parser.add_argument("--start", required=True, help="first day, YYYY-MM-DD, or a moment")
    parser.add_argument("--end", required=True, help="last day, included, or a moment")
    parser.add_argument("--from", dest="origin", choices=("bronze", "source"), default="bronze", help="default: bronze")
    parser.add_argument("--as-of", default="", help="with --from bronze: leave out rows ingested later")
    parser.add_argument("--chunk-days", type=int, default=31, help="days that are loaded at once; default: 31")
    parser.add_argument("--stage", action="store_true", help="leave the result on branches")
    parser.add_argument("--confirm", action="store_true", help="do it; without it the plan is shown")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    given = parser.parse_args(argv)
    found = ["backfill"]
    for name in given.table:
        found += ["--table", name]
    found += ["--start", given.start, "--end", given.end, "--from", given.origin]
    found += ["--as-of", given.as_of] if given.as_of else []
    found += ["--chunk-days", str(given.chunk_days), "--output", given.output]
    return found + [option for option in ("--stage", "--confirm") if getattr(given, option[2:])]


if __name__ == "__main__":
    from lakehouse.cli.main import main

    sys.argv = ["lakehouse", *arguments()]
    main()
