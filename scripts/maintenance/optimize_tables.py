"""A door onto `lakehouse optimize`: python scripts/maintenance/optimize_tables.py --table silver.orders --zorder a b"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def arguments(argv: Sequence[str] | None = None) -> list[str]:
    """The same, as `lakehouse` takes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", nargs="+", default=["*"], help="tables or patterns; default: every table")
    parser.add_argument("--zorder", nargs="+", default=[], metavar="COLUMN", help="default: the contract's layout")
    parser.add_argument("--hours", type=int, default=168, help="how long removed files are kept; 168 or more")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    given = parser.parse_args(argv)
    found = ["optimize", " ".join(given.table), "--hours", str(given.hours), "--output", given.output]
    for column in given.zorder:
        found += ["--zorder", column]
    return [*found, "--dry-run"] if given.dry_run else found


if __name__ == "__main__":
    from lakehouse.cli.main import main

    sys.argv = ["lakehouse", *arguments()]
    main()
