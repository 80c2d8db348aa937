"""Places where a test may kill the process, to see that the next attempt ends right. In production they do nothing.

`reach(name)` kills this process when LAKEHOUSE_KILL_POINT is that name. By SIGKILL, so that neither `finally` nor
`atexit` runs: what a machine does that loses its power.
"""

from __future__ import annotations

import os
import signal

#: Every point there is, in the order they are come by; tests go through all of them.
POINTS = (
    "stream.opened",
    "stream.claimed",
    "stream.positioned",
    "stream.begun",
    "stream.batch",
    "stream.ended",
    "extract.started",
    "extract.slice",
    "extract.whole",
    "load.branched",
    "load.appended",
    "quarantine.written",
    "quarantine.published",
    "quarantine.lane",
    "compute.started",
    "compute.branched",
    "compute.applied",
    "gate.audited",
    "gate.recorded",
    "batch.ready",
    "batch.committed",
    "batch.recorded",
    "watermark.due",
    "watermark.stored",
    "branch.record_written",
    "branch.log_written",
    "publish.diffed",
    "publish.claimed",
    "publish.checked",
    "publish.committed",
    "publish.checkpointed",
    "drop.decided",
    "drop.record_removed",
    "drop.log_removed",
    "drop.data_removed",
    "collect.dropped",
    "collect.file_removed",
    "collect.emptied",
    "revert.checked",
    "revert.committed",
    "warehouse.made",
    "warehouse.put",
    "warehouse.staged",
    "warehouse.locked",
    "warehouse.merged",
    "warehouse.reconciled",
    "warehouse.recorded",
    "warehouse.committed",
)


def reach(name: str) -> None:
    """The process has come to the point `name`."""
    if os.environ.get("LAKEHOUSE_KILL_POINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
