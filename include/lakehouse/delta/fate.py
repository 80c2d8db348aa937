"""Publish or drop: what becomes of a branch when both are tried, at once and by processes that sleep or die.

One file in the branch's folder settles it, by put-if-absent, so it is the same on every store:

1. A publisher writes its word, `publish`, before it tries to commit, and looks at the record before each try.
2. Who drops writes `drop` under the same name. First, and no publisher gets past rule 1: all data may go at once.
3. Second, and a publisher has begun: it may be done, dead, or asleep just before its commit. The record is removed,
   then the table's version V is noted. A sleeper can only commit up to V + 1, for it looked before. So once the table
   has a version after V, the sleeper's commit fails, it looks for the record, and gives up. From then on the branch
   is settled, and `collect` may delete what the table does not refer to. No clock is asked.
"""

from __future__ import annotations

import json
from typing import Any

from lakehouse.delta import store
from lakehouse.delta.log import latest_version, log_folder
from lakehouse.delta.record import ADDED, RECORD, Branch, BranchRefused, recorded
from lakehouse.killpoints import reach

#: Followed by the branch's id: a folder may have seen several.
FATE = "_fate-"

_PUBLISH = json.dumps({"word": "publish"}).encode()
#: Nobody had begun to publish.
_DROP = json.dumps({"word": "drop", "after": None}).encode()


def claim(branch: Branch) -> None:
    """A publisher's word. Raises BranchRefused where the branch was dropped first."""
    name = f"{branch.path}/{FATE}{branch.id}"
    try:
        if store.put_if_absent(name, _PUBLISH) or _word(name)["word"] == "publish":
            return
    except FileNotFoundError:
        pass  # Dropped to the last file meanwhile.
    raise dropped(branch)


def dropped(branch: Branch) -> BranchRefused:
    """What a publisher is told of a branch that is no more."""
    return BranchRefused(f"The branch in {branch.path} was dropped.", "Work again on a new branch.")


def drop_branch(branch: Branch) -> bool:
    """Give up the branch, or clear up after its publish. Safe at any time, in any process, more than once.

    True: it was not published and cannot be any more. False: it was published, or a publisher had begun and may finish
    within the one commit it is at; its data files stay for `collect`. A branch that was opened in the same folder since
    is left alone.
    """
    record = recorded(branch.path)
    if record is None or record.id == branch.id:
        return discard(branch.table_path, branch.path)
    return False


def discard(table_path: str, folder: str) -> bool:
    """Empty a folder that branches used, but for data files that the table may refer to. See `drop_branch`.

    Each step may be the last one of a killed process: the next call goes on from there.
    """
    present = store.names(folder)
    if not present:
        return True
    record = recorded(folder)
    if record is not None:
        store.put_if_absent(f"{folder}/{FATE}{record.id}", _DROP)
        reach("drop.decided")
    store.delete(f"{folder}/{RECORD}")
    reach("drop.record_removed")
    # Every one of them is noted before any is asked.
    begun = {name: note(table_path, f"{folder}/{name}") for name in store.names(folder) if name.startswith(FATE)}
    store.remove_tree(f"{folder}/{ADDED}")
    store.remove_tree(log_folder(folder))
    reach("drop.log_removed")
    if begun and not any(begun.values()):
        store.remove_tree(folder)
        reach("drop.data_removed")
    # Without a fate it is not known whether the folder's branch was published.
    return not (begun.get(f"{FATE}{record.id}", True) if record else any(begun.values()) or not begun)


def note(table_path: str, fate: str) -> bool:
    """Turn a word to publish into a drop after the version that the table has now; whether a publisher had begun."""
    said = _word(fate)
    if said["word"] == "publish":
        said = {"word": "drop", "after": latest_version(table_path)}
        store.replace(fate, json.dumps(said).encode())
    return said["after"] is not None


def settled(fate: str, version: int) -> bool:
    """Whether the branch of this fate can no longer be published, seen from the table at `version`."""
    said = _word(fate)
    return said["word"] == "drop" and (said["after"] is None or version > said["after"])


def claimed(folder: str, branch_id: str) -> bool:
    """Whether a publisher has begun."""
    try:
        return bool(_word(f"{folder}/{FATE}{branch_id}")["word"] == "publish")
    except FileNotFoundError:
        return False


def _word(fate: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(store.read(fate))
    return found
