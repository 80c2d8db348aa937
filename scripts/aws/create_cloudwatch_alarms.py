"""A door onto `lakehouse aws --only alarms`: python scripts/aws/create_cloudwatch_alarms.py --dry-run"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def arguments(argv: Sequence[str] | None = None) -> list[str]:
    """The same, as `lakehouse` takes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument("--remove", action="store_true", help="remove alarms of ours that no contract asks for")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    given = parser.parse_args(argv)
    found = ["aws", "plan" if given.dry_run else "apply", "--only", "alarms", "--output", given.output]
    # Saying --remove to a script is saying yes.
    return [*found, "--remove", "--yes"] if given.remove and not given.dry_run else found


if __name__ == "__main__":
    from lakehouse.cli.main import main

    sys.argv = ["lakehouse", *arguments()]
    main()
