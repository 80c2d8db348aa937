"""Backfills by range: planned, done, staged, taken back. One pass over the range, not a run a day.

The work itself is the pipeline's: see `lakehouse.pipeline.run`. Each backfill is on record in ops.backfills.
"""

from lakehouse.backfill.names import NameUnclear
from lakehouse.backfill.plan import Plan, Step, plan
from lakehouse.backfill.publish import publish_staged
from lakehouse.backfill.record import Record, records
from lakehouse.backfill.request import BackfillRefused, Request
from lakehouse.backfill.undo import undo
from lakehouse.backfill.work import Done, work

__all__ = [
    "BackfillRefused",
    "Done",
    "NameUnclear",
    "Plan",
    "Record",
    "Request",
    "Step",
    "plan",
    "publish_staged",
    "records",
    "undo",
    "work",
]
