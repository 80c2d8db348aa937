"""What gates found, read back from ops.quality."""

from __future__ import annotations

from typing import Any

from lakehouse import paths


def found(table: str, candidate: str = "") -> list[dict[str, Any]]:
    """Rows of ops.quality of the table's latest audit, or the latest of the candidate whose fingerprint begins so.

    Failures first. Empty where there is none.
    """
    from lakehouse.delta import read_rows

    rows = [{"candidate": "", "sample": "[]", **row} for row in read_rows(paths.ops("quality"), {"table": table})]
    if candidate:
        rows = [row for row in rows if (row["candidate"] or "").startswith(candidate)]
    if not rows:
        return []
    latest = max(row["checked_ts"] for row in rows)
    return sorted(
        (r for r in rows if r["checked_ts"] == latest), key=lambda r: (r["success"], r["severity"], r["rule"])
    )
