"""Reading a table's Delta log: versions, commits, and what they say of themselves.

Not for reading data, and not for writing: `lakehouse.delta.publish` commits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from lakehouse.delta import store
from lakehouse.errors import LakehouseError

#: One line of a commit: {"add": {...}}, {"txn": {...}}, ...
Action = dict[str, dict[str, Any]]

#: A commit, or a checkpoint of any kind: after a clean-up one may be there without the other.
_VERSION = re.compile(r"(\d{20})\.(?:json|checkpoint\..*)")


class LogIncomplete(LakehouseError):
    """A version that the log can no longer tell."""


def log_folder(path: str) -> str:
    """Folder of the commits of the table at `path`."""
    return f"{store.canonical(path)}/_delta_log"


def commit_file(path: str, version: int) -> str:
    """File of one commit."""
    return f"{log_folder(path)}/{version:020}.json"


def checksum_file(path: str, version: int) -> str:
    """Path of the file that sums one version up, for readers that would otherwise replay the log."""
    return f"{log_folder(path)}/{version:020}.crc"


def latest_version(path: str) -> int:
    """Version of the table at `path`, -1 where there is no table. One listing, nothing is read."""
    return max(versions(path), default=-1)


def versions(path: str) -> list[int]:
    """Versions that the log has a commit or a checkpoint of, unsorted."""
    return [int(match.group(1)) for name in store.names(log_folder(path)) if (match := _VERSION.fullmatch(name))]


def read_commit(path: str, version: int) -> Iterator[Action]:
    """The actions of one commit, in order. Raises FileNotFoundError where the log no longer holds it."""
    for line in store.read(commit_file(path, version)).splitlines():
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
    try:
        found = json.loads(commit_info(path, version).get("userMetadata") or "null")
    except ValueError:
        return None  # Somebody else's words.
    return found if isinstance(found, dict) else None


def commit_info(path: str, version: int) -> dict[str, Any]:
    """The commit about itself; empty where it says nothing or the log no longer holds it."""
    try:
        return next((a["commitInfo"] for a in read_commit(path, version) if "commitInfo" in a), {})
    except FileNotFoundError:
        return {}


def version_at(path: str, moment: datetime) -> int:
    """The last version committed by `moment`, as far as the log goes back; -1 where there was no table yet."""
    found = -1
    for version in sorted(versions(path)):
        told = commit_info(path, version).get("timestamp")
        if told is not None and told > moment.timestamp() * 1000:
            break
        if told is not None:
            found = version
    return found


def transaction_version(path: str, app_id: str) -> int | None:
    """The last transaction of `app_id` that the table holds; None where it holds none or does not exist."""
    if latest_version(path) < 0:
        return None
    found = store.delta_table(path).transaction_version(app_id)
    return None if found is None else int(found)


def committed_at(path: str, app_id: str, transaction: int, after: int) -> int | None:
    """Version of the first commit after `after` that carries `transaction` of `app_id`, or a later one."""
    for version in sorted(v for v in set(versions(path)) if v > after):
        try:
            for action in read_commit(path, version):
                txn = action.get("txn", {})
                if txn.get("appId") == app_id and txn["version"] >= transaction:
                    return version
        except FileNotFoundError:
            continue
    return None
