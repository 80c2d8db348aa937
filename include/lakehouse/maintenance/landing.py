"""Landing folders past their retention: the extracts of loads that were published long ago.

Not deleted: what a load still under way, held or failed may need, and what the ledger does not know.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lakehouse import ledger, log, paths
from lakehouse.clock import now

#: How long the extract of a published load is kept for a replay, unless the contract says otherwise.
RETENTION = timedelta(days=90)


def expire_landing(
    name: str, retention: timedelta = RETENTION, *, dry_run: bool = False, at: datetime | None = None
) -> int:
    """Delete the landing folders of loads of `name` published more than `retention` before `at` (default: now).

    How many folders, or in a rehearsal would be deleted. Safe beside a run: only the newest load of a batch can be
    under way, and it is not published.
    """
    from lakehouse.delta import store

    before = (at or now()) - retention
    count = 0
    for event in ledger.read(name):
        if event.event != "published" or event.event_ts > before:
            continue
        folder = paths.landing(name, event.batch_id, event.load)
        if not store.names(folder):
            continue
        count += 1
        if not dry_run:
            store.remove_tree(folder)
            log.get().info("landing expired", table=name, batch_id=event.batch_id, load=event.load)
    return count
