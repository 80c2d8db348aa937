"""The transactions that a table has seen: which loads were committed, whatever else was lost.

Checkpoints keep them, while what a commit says of itself goes with the log's retention.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakehouse.delta.log import Action, LogIncomplete, committed_at, latest_version, read_commit
from lakehouse.delta.replay import newest_checkpoint, of_checkpoint


@dataclass(frozen=True)
class Commit:
    """The commit that carries one transaction. Of one that the log no longer holds only the transaction is known."""

    version: int = -1
    metadata: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


def transactions(path: str, prefix: str) -> dict[str, int]:
    """{app id: its last transaction} of those that begin with `prefix`, in no order; none where there is no table.

    Raises LogIncomplete where commits are gone that no checkpoint stands for.
    """
    latest = latest_version(path)
    start, parts = newest_checkpoint(path, latest)
    found: dict[str, int] = {}
    for action in _actions(path, start, parts, latest):
        said = action.get("txn", {})
        if str(said.get("appId", "")).startswith(prefix):
            found[said["appId"]] = int(said["version"])
    return found


def commit_of(path: str, app_id: str, transaction: int) -> Commit | None:
    """The commit of this very transaction; None where the log holds none."""
    version = committed_at(path, app_id, transaction, -1)
    if version is None:
        return None
    actions = list(read_commit(path, version))
    if (app_id, transaction) not in [(a["txn"]["appId"], a["txn"]["version"]) for a in actions if "txn" in a]:
        return None
    said: dict[str, Any] = next((a["commitInfo"] for a in actions if "commitInfo" in a), {})
    moment = said.get("timestamp")
    return Commit(
        version,
        json.loads(said.get("userMetadata") or "{}"),
        None if moment is None else datetime.fromtimestamp(moment / 1000, UTC),
    )


def _actions(path: str, start: int, parts: list[str], latest: int) -> Iterator[Action]:
    for part in parts:
        yield from of_checkpoint(path, part, ("txn",))
    for version in range(start + 1, latest + 1):
        try:
            yield from read_commit(path, version)
        except FileNotFoundError as error:
            raise LogIncomplete(
                f"{path}: the commit of version {version} is gone from the log, and no checkpoint stands for it.",
                "Restore the log's files.",
            ) from error
