"""Whether the row changes of a range of versions can still be read: clean-up and VACUUM take them in time."""

from __future__ import annotations

from lakehouse.delta import store
from lakehouse.delta.log import kind_of, read_commit


def feed_problem(path: str, low: int, high: int) -> str:
    """Why the change feed of versions `low` to `high` (both in it) cannot be read; "" where it can."""
    for version in range(low, high + 1):
        try:
            actions = list(read_commit(path, version))
        except FileNotFoundError:
            return f"version {version} is no longer in the log"
        feed = [a["cdc"]["path"] for a in actions if "cdc" in a]
        changed = [a[kind_of(a)] for a in actions if kind_of(a) in ("add", "remove")]
        read = feed or [content["path"] for content in changed if content["dataChange"]]
        for name in read:
            if not store.exists(f"{path}/{store.decoded(name)}"):
                return f"a data file of version {version} was vacuumed"
    return ""


def changed_since(path: str, version: int, latest: int) -> bool:
    """Whether a commit after `version`, up to `latest`, changed rows, or may have: the log no longer tells."""
    for number in range(version + 1, latest + 1):
        try:
            for action in read_commit(path, number):
                if kind_of(action) in ("add", "remove", "cdc") and action[kind_of(action)].get("dataChange", True):
                    return True
        except FileNotFoundError:
            return True
    return False
