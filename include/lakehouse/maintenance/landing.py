"""Landing past its retention: the extracts of loads that were published long ago, and records of streams among them.

Not deleted: what a load still under way, held or failed may need, and what the ledger does not know.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from lakehouse import ledger, log, paths
from lakehouse.clock import now
from lakehouse.ingest.landing import forget
from lakehouse.maintenance.vacuum import LEAST_HOURS

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
            forget(folder)
            log.get().info("landing expired", table=name, batch_id=event.batch_id, load=event.load)
    return count


def expire_records(
    name: str, retention: timedelta = RETENTION, *, dry_run: bool = False, at: datetime | None = None
) -> int:
    """Take the files of the stream of `name` out of its landing table whose load was published more than `retention`
    before `at` (default: now); how many. Their bytes go a week later, by the next call.

    The newest file of each partition stays: it says where the stream goes on.
    """
    from lakehouse.delta import drop_files, files_in, store
    from lakehouse.ledger.state import delivered
    from lakehouse.stream.records import Records

    events, before = ledger.read(name), (at or now()) - retention
    old = {d for event in events if event.event == "published" and event.event_ts <= before for d in event.deliveries}
    old &= delivered(events)
    records = Records(paths.records(name))
    pieces = records.pieces()
    newest = {(piece.topic_id, piece.partition): piece for piece in sorted(pieces, key=lambda piece: piece.last)}
    gone = {piece.file for piece in pieces if piece.name in old and piece not in newest.values()}
    if dry_run or not pieces:
        return len(gone)
    if gone and not drop_files(records.path, [f for f in files_in(records.path) if f["path"] in gone], "expire"):
        return 0
    if gone:
        log.get().info("records expired", table=name, files=len(gone))
    # Nobody works on branches of it, and no reader is older.
    store.delta_table(records.path).vacuum(retention_hours=LEAST_HOURS, dry_run=False)
    return len(gone)
