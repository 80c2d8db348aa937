"""Reading a table's Delta log: versions, commits, and what they say of themselves.

Not for reading data, and not for writing: `lakehouse.delta.publish` commits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lakehouse.delta import store

#: One line of a commit: {"add": {...}}, {"txn": {...}}, ...
Action = dict[str, dict[str, Any]]

_COMMIT = re.compile(r"(\d{20})\.json")


def log_folder(path: str) -> Path:
    """Folder of the commits of the table at `path`."""
    return store.local(path) / "_delta_log"


def commit_file(path: str, version: int) -> Path:
    """File of one commit."""
    return log_folder(path) / f"{version:020}.json"


def latest_version(path: str) -> int:
    """Version of the table at `path`, -1 where there is no table. One listing, nothing is read."""
    found = [int(match.group(1)) for name in store.names(log_folder(path)) if (match := _COMMIT.fullmatch(name))]
    return max(found, default=-1)


def read_commit(path: str, version: int) -> Iterator[Action]:
    """The actions of one commit, in order. Raises FileNotFoundError where the log no longer holds it."""
    with commit_file(path, version).open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def encode(actions: Iterable[Action]) -> bytes:
    """Actions as a commit file holds them."""
    return "".join(json.dumps(a, ensure_ascii=False, separators=(",", ":")) + "\n" for a in actions).encode()


def kind_of(action: Action) -> str:
    """add, remove, cdc, metaData, protocol, txn, commitInfo, ..."""
    return next(iter(action))


def commit_metadata(path: str, version: int) -> dict[str, Any] | None:
    """What the commit carries as user metadata; None where it has none or the log no longer holds it."""
    if not commit_file(path, version).exists():
        return None
    for action in read_commit(path, version):
        text = action.get("commitInfo", {}).get("userMetadata")
        if text:
            found = json.loads(text)
            return found if isinstance(found, dict) else None
    return None


def transaction_version(path: str, app_id: str) -> int | None:
    """The last transaction of `app_id` that the table holds; None where it holds none or does not exist."""
    if latest_version(path) < 0:
        return None
    from deltalake import DeltaTable

    found = DeltaTable(str(store.local(path))).transaction_version(app_id)
    return None if found is None else int(found)


def committed_at(path: str, app_id: str, transaction: int, after: int) -> int | None:
    """Version of the first commit after `after` that carries `transaction` of `app_id`, or a later one."""
    for version in range(after + 1, latest_version(path) + 1):
        if not commit_file(path, version).exists():
            continue
        for action in read_commit(path, version):
            txn = action.get("txn", {})
            if txn.get("appId") == app_id and txn["version"] >= transaction:
                return version
    return None
