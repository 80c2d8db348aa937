"""The fast-forward: a branch becomes one commit of its table. The only code that commits to a published table.

The commit is one file, which is there or not: no reader sees half of it, and of two publishers one wins.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from lakehouse import __version__
from lakehouse.delta import store
from lakehouse.delta.commit import Superseded, append_commit, checkpoint
from lakehouse.delta.diff import Diff, diff
from lakehouse.delta.fate import claim, dropped
from lakehouse.delta.log import (
    Action,
    commit_file,
    committed_at,
    encode,
    kind_of,
    latest_version,
    read_commit,
    transaction_version,
)
from lakehouse.delta.record import Branch, held
from lakehouse.delta.spec import PROTOCOL, TableSpec
from lakehouse.delta.spec import metadata as table_metadata
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach

#: Actions that other commits may hold without being in the way.
_NEUTRAL = {"add", "remove", "commitInfo", "txn"}


class PublishConflict(LakehouseError):
    """Another commit came first, and the candidate was not audited with it."""


class CandidateChanged(LakehouseError):
    """The branch is not what was audited."""


@dataclass(frozen=True)
class Published:
    """What a fast-forward did. Row and file counts are zero where it committed nothing."""

    #: The commit's version; the last known one where nothing was committed.
    version: int
    files_added: int = 0
    files_removed: int = 0
    rows_added: int = 0
    rows_removed: int = 0
    #: The same transaction was there already.
    already: bool = False
    #: There was nothing to publish.
    empty: bool = False


def fast_forward(
    branch: Branch,
    app_id: str,
    transaction: int,
    metadata: dict[str, Any],
    *,
    expected: str | None = None,
    rebase_appends: bool = False,
) -> Published:
    """Publish the branch as the next commit of its table.

    `app_id` and `transaction` (a number that grows with each load of the same batch, from 1) go into the commit: what
    the table holds already, in this number or a higher one, is not committed again. `metadata` becomes the commit's
    user metadata (JSON). `expected` is the fingerprint of the audited Diff.
    Where other commits came between, it goes on top of them if they touched none of the files that it removes, and
    changed no rows. A branch that changes no row itself (OPTIMIZE) also goes on top of those that did, and with
    `rebase_appends` an append on top of other appends (only for tables in which no row depends on another). Raises
    PublishConflict otherwise, CandidateChanged, BranchRefused for a branch that was dropped, and what `diff` raises.
    """
    known = transaction_version(branch.table_path, app_id)
    if known is not None and known >= transaction:
        return _already(branch, app_id, known)
    change = diff(branch)
    if expected is not None and change.fingerprint != expected:
        raise CandidateChanged(f"{branch.path} is not what was audited.", "Audit the branch again, then publish it.")
    if change.is_empty:
        return Published(branch.base_version, empty=True)
    reach("publish.diffed")
    claim(branch)
    reach("publish.claimed")
    txn: Action = {"txn": {"appId": app_id, "version": transaction, "lastUpdated": int(time.time() * 1000)}}
    data = encode([_info(branch, change, metadata), txn, *change.actions])

    def check(checked: int, latest: int) -> None:
        _check_between(branch, change, checked, latest, rebase_appends)
        # The last look before the commit: see `lakehouse.delta.fate`.
        if not held(branch):
            raise dropped(branch)
        reach("publish.checked")

    try:
        version, already = append_commit(branch.table_path, app_id, transaction, data, branch.base_version, check)
    except Superseded:
        raise _conflict(branch, latest_version(branch.table_path), "the log was cleaned up meanwhile") from None
    if already:
        return Published(version, already=True)
    reach("publish.committed")
    checkpoint(branch.table_path, version)
    reach("publish.checkpointed")
    return Published(version, change.files_added, change.files_removed, change.rows_added, change.rows_removed)


def check_fast_forward(branch: Branch) -> None:
    """Raise what `fast_forward` of the branch would raise now for what others have published meanwhile."""
    _check_between(branch, diff(branch), branch.base_version, latest_version(branch.table_path), False)


def create_table(path: str, spec: TableSpec) -> None:
    """Publish an empty table made from `spec`; nothing happens where there is one already.

    For tables that several processes would otherwise create by their first publish, and conflict.
    """
    if latest_version(path) < 0:
        first: list[Action] = [
            {"protocol": PROTOCOL},
            {"metaData": table_metadata(spec.fields(), spec.partition_by, spec.properties)},
        ]
        store.put_if_absent(commit_file(path, 0), encode(first))


def _check_between(branch: Branch, change: Diff, checked: int, latest: int, rebase_appends: bool) -> None:
    """Raise PublishConflict unless the candidate is as good on top of the commits after `checked` as without them."""
    if latest < checked or (latest > checked and branch.base_version < 0):
        raise _conflict(branch, latest, "the table was made or replaced meanwhile")
    # Files laid out anew hold the rows they held: whatever was added beside them, and told of it, stands.
    neutral = change.is_neutral
    for version in range(checked + 1, latest + 1):
        try:
            actions = list(read_commit(branch.table_path, version))
        except FileNotFoundError:
            raise _conflict(branch, version, "its log is gone") from None
        kinds = {kind_of(a) for a in actions}
        files = [a[kind_of(a)] for a in actions if kind_of(a) in ("add", "remove")]
        removed = {store.decoded(a["remove"]["path"]) for a in actions if "remove" in a}
        strange = kinds - _NEUTRAL - ({"cdc"} if neutral else set())
        if strange:
            raise _conflict(branch, version, f"it holds {', '.join(sorted(strange))}")
        if removed & change.removed:
            raise _conflict(branch, version, "it removed files that the branch removes too")
        appends = rebase_appends and branch.mode == "append" and change.is_append and "remove" not in kinds
        if any(f["dataChange"] for f in files) and not (appends or neutral):
            raise _conflict(branch, version, "it changed rows")


def _conflict(branch: Branch, version: int, reason: str) -> PublishConflict:
    return PublishConflict(
        f"{branch.table_path}: version {version} came before the branch of version {branch.base_version}: {reason}.",
        "Work and audit again on a branch of the table as it is now.",
    )


def _already(branch: Branch, app_id: str, transaction: int) -> Published:
    version = committed_at(branch.table_path, app_id, transaction, branch.base_version)
    return Published(latest_version(branch.table_path) if version is None else version, already=True)


def _info(branch: Branch, change: Diff, metadata: dict[str, Any]) -> Action:
    """The commit about itself. Spark's name and figures for the statement are kept: DESCRIBE HISTORY shows them."""
    said = change.statement
    content = {
        "timestamp": int(time.time() * 1000),
        "operation": said.get("operation", "WRITE"),
        "operationParameters": said.get("operationParameters", {}),
        "readVersion": branch.base_version,
        "isolationLevel": "Serializable",
        "isBlindAppend": branch.mode == "append" and change.is_append,
        "operationMetrics": said.get("operationMetrics", {}),
        "userMetadata": json.dumps(metadata, sort_keys=True),
        "engineInfo": f"lakehouse/{__version__}",
        "txnId": str(uuid.uuid4()),
        "branchId": branch.id,
    }
    if branch.base_version < 0:
        del content["readVersion"]
    return {"commitInfo": content}
