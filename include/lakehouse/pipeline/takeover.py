"""Taking over: before an attempt opens its branch, what earlier attempts of its run left behind is ended and dropped.

The branches are the record of who worked: each attempt opens one before it opens its Spark session, and whoever ends
well drops it. Where there is none, nothing is asked of Spark.
"""

from __future__ import annotations

from lakehouse import log, paths
from lakehouse.pipeline.batch import Batch


def take_over(batch: Batch) -> None:
    """Fence the sessions of the attempts that `batch.attempt` follows, then drop their branches.

    Theirs are the branches of the table and of quarantine. Raises SparkUnavailable.
    """
    from lakehouse.delta import drop_branch
    from lakehouse.delta.attempts import open_attempts
    from lakehouse.spark import fence, session_id

    left = [
        (attempt, branch)
        for table in (paths.table(batch.table), paths.ops("quarantine"))
        for attempt, branch in open_attempts(table, batch.batch_id).items()
        if batch.follows(attempt)
    ]
    # All are fenced before the first is dropped: nobody may write into a folder that is being emptied.
    for attempt in sorted({attempt for attempt, _ in left}):
        log.get().warning("takeover", attempt=attempt)
        fence(session_id(batch.batch_id, attempt))
    for attempt, branch in left:
        try:
            drop_branch(branch)
        except OSError as error:
            # A statement that is being interrupted may still put a file there. It cannot be published any more.
            log.get().warning("branch left", attempt=attempt, error=type(error).__name__)
