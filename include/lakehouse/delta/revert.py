"""Undo: one published change is taken back by a commit that removes what it added and adds what it removed.

No data is copied or written. Not for going back to an old version as a whole: later changes stay.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from lakehouse import __version__
from lakehouse.delta import store
from lakehouse.delta.commit import Superseded, append_commit, checkpoint
from lakehouse.delta.diff import rows_of
from lakehouse.delta.features import check_action, snapshot
from lakehouse.delta.log import Action, committed_at, encode, kind_of, latest_version, read_commit, transaction_version
from lakehouse.delta.publish import Published
from lakehouse.delta.replay import active_files
from lakehouse.delta.retention import retention
from lakehouse.delta.transactions import transactions
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach

#: Seconds before the end of the retention from which a removed file counts as gone: it could go while we commit.
_MARGIN = 3600


class RevertRefused(LakehouseError):
    """A published change that cannot be taken back."""


def revert(table_path: str, version: int, metadata: dict[str, Any]) -> Published:
    """Take back the change that `version` published, as the next commit; its user metadata is `metadata` (JSON).

    Done once, whoever repeats it: the commit carries a transaction named after the version. A change feed tells it as
    deletes and inserts of whole files, which is right though wide. Where later versions put in rows that belong to the
    same keys it cannot know: audit the table afterwards.
    Raises RevertRefused where the version changed the schema or no row, where a later version touched its files, and
    where the files it removed are gone or about to go; UnknownFeature and LogIncomplete.
    """
    path = store.canonical(table_path)
    app_id = f"revert/{version}"
    if transaction_version(path, app_id) is not None:
        found = committed_at(path, app_id, 1, version)
        return Published(latest_version(path) if found is None else found, already=True)
    latest = latest_version(path)
    if not 0 < version <= latest:
        reason = "it made the table" if version == 0 else f"the table's versions are 0 to {latest}"
        raise _refused(path, version, reason, "Name one that published a change: `lakehouse status` tells the latest.")
    current = snapshot(path, latest)
    change = _Change(path, version)
    data = encode([_info(change, latest, metadata), _txn(app_id), *change.undone(retention(current).total_seconds())])

    def check(checked: int, newest: int) -> None:
        change.check_later(checked, newest)
        reach("revert.checked")

    try:
        done, already = append_commit(path, app_id, 1, data, version, check)
    except Superseded:
        raise _refused(path, version, "the log was cleaned up meanwhile", "Try again.") from None
    reach("revert.committed")
    if already:
        return Published(done, already=True)
    checkpoint(path, done)
    back, gone = (sum(rows_of(path, c) for c in side.values()) for side in (change.removed, change.added))
    return Published(done, len(change.removed), len(change.added), back, gone)


def check_revert(table_path: str, version: int) -> None:
    """Raise what `revert` of the version would raise now; nothing where it was taken back already."""
    path = store.canonical(table_path)
    if transaction_version(path, f"revert/{version}") is None:
        if version == 0:
            raise _refused(path, version, "it made the table", "Nobody reads it yet: remove its folder.")
        latest = latest_version(path)
        change = _Change(path, version)
        change.check_later(version, latest)
        change.undone(retention(snapshot(path, latest)).total_seconds())


def reverted_versions(table_path: str) -> set[int]:
    """Versions whose change is taken back, and not put in again by taking back that."""
    path = store.canonical(table_path)
    by = {}
    for app_id in transactions(path, "revert/"):
        version = int(app_id.removeprefix("revert/"))
        by[version] = committed_at(path, app_id, 1, version)
    found: set[int] = set()
    # A change is taken back by a later version only: from the newest on, what takes back is known to stand or not.
    for version in sorted(by, reverse=True):
        if by[version] not in found:
            found.add(version)
    return found


class _Change:
    """What one version did, by file."""

    def __init__(self, path: str, version: int) -> None:
        self.path, self.version = path, version
        self.added: dict[str, dict[str, Any]] = {}
        self.removed: dict[str, dict[str, Any]] = {}
        for action in _actions(path, version, version):
            kind = kind_of(action)
            content = action[kind]
            if kind == "commitInfo":
                continue
            check_action(path, kind, content)
            if kind in ("metaData", "protocol"):
                raise _refused(path, version, "it changed the schema or properties of the table", _LOAD)
            if kind in ("add", "remove"):
                side = self.added if kind == "add" else self.removed
                side[store.decoded(content["path"])] = content
        if not any(content["dataChange"] for side in (self.added, self.removed) for content in side.values()):
            raise _refused(path, version, "it changed no rows", "Nothing is to be done.")

    def check_later(self, checked: int, newest: int) -> None:
        """Raise RevertRefused where a version after `checked` touched the same files."""
        for later in range(checked + 1, newest + 1):
            for action in _actions(self.path, later, self.version):
                content = action.get("add") or action.get("remove")
                name = store.decoded(content["path"]) if content else ""
                verb = "removed" if "remove" in action else "added"
                if (verb == "removed" and name in self.added) or name in self.removed:
                    raise _refused(self.path, self.version, f"version {later} {verb} {name}", _LATER_FIRST)

    def undone(self, retained: float) -> list[Action]:
        """remove and add actions, statistics kept."""
        moment = int(time.time() * 1000)
        before = (
            {store.decoded(c["path"]): c for c in active_files(self.path, self.version - 1)} if self.removed else {}
        )
        back: list[Action] = []
        for name, content in self.removed.items():
            age = (moment - content.get("deletionTimestamp", 0)) / 1000
            if age > retained - _MARGIN or not store.exists(f"{self.path}/{name}"):
                raise _refused(self.path, self.version, f"{name}, which it removed, is gone or about to go", _LOAD)
            back.append({"add": {**before[name], "dataChange": True}})
        return [*({"remove": _removal(c, moment)} for c in self.added.values()), *back]


def _removal(added: dict[str, Any], moment: int) -> dict[str, Any]:
    kept = {name: added[name] for name in ("path", "partitionValues", "size", "stats", "tags") if added.get(name)}
    kept.setdefault("partitionValues", {})
    return {**kept, "deletionTimestamp": moment, "dataChange": True, "extendedFileMetadata": True}


def _actions(path: str, version: int, reverted: int) -> list[Action]:
    try:
        return list(read_commit(path, version))
    except FileNotFoundError:
        raise _refused(path, reverted, f"the log no longer holds version {version}", _LOAD) from None


def _txn(app_id: str) -> Action:
    return {"txn": {"appId": app_id, "version": 1, "lastUpdated": int(time.time() * 1000)}}


def _info(change: _Change, latest: int, metadata: dict[str, Any]) -> Action:
    content = {
        "timestamp": int(time.time() * 1000),
        "operation": "REVERT",
        "operationParameters": {"version": str(change.version)},
        "readVersion": latest,
        "isolationLevel": "Serializable",
        "isBlindAppend": False,
        "operationMetrics": {"numAddedFiles": str(len(change.removed)), "numRemovedFiles": str(len(change.added))},
        "userMetadata": json.dumps(metadata, sort_keys=True),
        "engineInfo": f"lakehouse/{__version__}",
        "txnId": str(uuid.uuid4()),
    }
    return {"commitInfo": content}


_LATER_FIRST = "Take back the later version first, or load the old rows again as a change of their own."
_LOAD = "Load the old rows again as a change of their own."


def _refused(path: str, version: int, reason: str, remedy: str) -> RevertRefused:
    return RevertRefused(f"{path}: version {version} cannot be taken back: {reason}.", remedy)
