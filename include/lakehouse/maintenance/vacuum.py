"""VACUUM of one table: files outside its branches that no version within 168 hours needs.

A rehearsal goes first; where it finds nothing, Spark is not asked. What branches left behind is not VACUUM's to see:
`lakehouse.delta.collect` deletes it, by the same rule.
"""

from __future__ import annotations

from lakehouse import log, paths
from lakehouse.errors import LakehouseError

#: The least that time travel and long readers are left (OPS-4).
LEAST_HOURS = 168


class VacuumRefused(LakehouseError):
    """A retention under which running readers would lose their files."""


def vacuum(name: str, hours: int = LEAST_HOURS, *, dry_run: bool = False) -> int:
    """Delete what the table `layer.table` no longer needs; how many files, or in a rehearsal would be deleted.

    Raises VacuumRefused for less than 168 hours; Delta's own check of that stays on.
    """
    from lakehouse.delta import latest_version, store, table_sql
    from lakehouse.spark import connected

    if hours < LEAST_HOURS:
        raise VacuumRefused(
            f"VACUUM of {name} with {hours} hours would take files away from readers and time travel.",
            f"Give {LEAST_HOURS} hours or more.",
        )
    path = paths.table(name)
    if latest_version(path) < 0:
        return 0
    # All files that lie there, not only those that the log still remembers as removed.
    rehearsed = store.delta_table(path).vacuum(retention_hours=hours, dry_run=True, full=True)
    found = [file for file in rehearsed if not file.startswith("_")]
    if found and not dry_run:
        log.get().info("vacuum", table=name, files=len(found), hours=hours)
        with connected(f"{name} vacuum") as spark:
            # Spark commits to no published table: its notes about a VACUUM would be such commits.
            spark.conf.set("spark.databricks.delta.vacuum.logging.enabled", "false")
            spark.sql(f"VACUUM {table_sql(path)} RETAIN {int(hours)} HOURS").collect()
    return len(found)
