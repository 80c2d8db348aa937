"""One commit onto a published table: put-if-absent under the next version, once for a transaction, and checkpoints.

What goes into it, and whether it may go on top of what came between, is for the caller to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from lakehouse.delta import store
from lakehouse.delta.log import commit_file, committed_at, latest_version, versions

#: Versions between checkpoints: nobody else writes them, for Spark does not commit here.
CHECKPOINT_EVERY = 10

#: Called with (checked, latest) before each try; raises where the commit is not good on top of the versions between.
Check = Callable[[int, int], None]


class Superseded(Exception):
    """The version committed to lies below what the log still tells: the process slept through its clean-up."""


def append_commit(path: str, app_id: str, transaction: int, data: bytes, base: int, check: Check) -> tuple[int, bool]:
    """Commit `data` as the next version; the version, and whether the transaction was there already.

    `base` is the version that `data` was made for. Raises what `check` raises.
    """
    checked = base
    while True:
        latest = latest_version(path)
        version = committed_at(path, app_id, transaction, checked)
        if version is not None:
            return version, True
        check(checked, latest)
        checked = latest
        if store.put_if_absent(commit_file(path, latest + 1), data):
            if latest >= 0 and min(versions(path), default=0) > latest:
                store.delete(commit_file(path, latest + 1))
                raise Superseded
            return latest + 1, False


def checkpoint(path: str, version: int) -> None:
    """Write a checkpoint where `version` calls for one, and let go of commits older than the table's log retention.

    Failing is no harm to what was published: it is logged.
    """
    if version == 0 or version % CHECKPOINT_EVERY:
        return
    from deltalake.exceptions import DeltaError

    try:
        table = store.delta_table(path, version)
        table.create_checkpoint()
        table.cleanup_metadata()
    except (DeltaError, OSError):
        logging.getLogger(__name__).warning("no checkpoint of %s at version %d", path, version, exc_info=True)
