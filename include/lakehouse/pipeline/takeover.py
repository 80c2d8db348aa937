"""Taking over: before an attempt opens its branch, what earlier attempts of its run left behind is ended and dropped.

The branches are the record of who worked: each attempt opens one before it opens its Spark session, and whoever ends
well drops it. Where there is none, nothing is asked of Spark.
"""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse import log, paths
from lakehouse.ledger.events import Event
from lakehouse.pipeline.batch import Batch


def take_over(batch: Batch, events: Sequence[Event] = ()) -> None:
    """Fence the sessions of the attempts that `batch.attempt` follows, then drop their branches.

    Theirs are the branches of the table and of quarantine. `events` of the table tell which other batches the run was
    at before: a computed table's batch is another one as soon as its inputs change. Raises SparkUnavailable.
    """
    from lakehouse.delta import drop_branch
    from lakehouse.delta.attempts import open_attempts
    from lakehouse.spark import fence, session_id

    started = {e.batch_id for e in events if e.event == "started" and e.run_id == batch.run.run_id}
    left = [
        (session_id(batch_id, attempt), branch)
        for table in (paths.table(batch.table), paths.ops("quarantine"))
        for batch_id in sorted({batch.batch_id, *started})
        for attempt, branch in open_attempts(table, batch_id).items()
        if batch.follows(attempt)
    ]
    # All are fenced before the first is dropped: nobody may write into a folder that is being emptied.
    for session in sorted({session for session, _ in left}):
        log.get().warning("takeover", session=session)
        fence(session)
    for session, branch in left:
        try:
            drop_branch(branch)
        except OSError as error:
            # A statement that is being interrupted may still put a file there. It cannot be published any more.
            log.get().warning("branch left", session=session, error=type(error).__name__)
