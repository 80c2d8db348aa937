"""Deletes what branches left behind and no table needs: VACUUM looks into no folder that starts with `_`.

Not for the data files outside `_branch/`: those are VACUUM's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

from lakehouse.delta import store
from lakehouse.delta.fate import claimed, drop_branch, note, settled
from lakehouse.delta.features import snapshot
from lakehouse.delta.inventory import BRANCHES, Folder, folders
from lakehouse.delta.log import latest_version
from lakehouse.delta.retention import needed, retention
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach


class CollectRefused(LakehouseError):
    """An age that would take branches away from those who work on them."""


@dataclass(frozen=True)
class Collected:
    """What was deleted, or in a rehearsal would be."""

    #: Folders of branches that nothing is left of.
    branches: int = 0
    files: int = 0
    bytes: int = 0
    #: Dead branches whose files wait for the table's next commit: a publisher had begun and may be asleep.
    waiting: int = 0


def collect(table_path: str, older_than: timedelta, *, dry_run: bool = False, now: float | None = None) -> Collected:
    """Give up branches in which nothing was written for `older_than`, and delete files that no version needs.

    Kept: every branch on record that was touched since; every file that the table's latest version refers to, or one
    within the retention of deleted files (`delta.deletedFileRetentionDuration`, 168 hours at least); every file younger
    than `older_than`; and files of a branch whose publisher had begun, until the table has a later version.
    `now` (Unix seconds) is for rehearsals of another day. Safe beside publishers, and after being killed at any point.
    Raises CollectRefused, LogIncomplete, UnknownFeature, RetentionUnknown.
    """
    if older_than < timedelta(0):
        raise CollectRefused(f"{older_than} is no age.", "Give an age of hours or days.")
    table = store.canonical(table_path)
    moment = time.time() if now is None else now
    before = moment - older_than.total_seconds()
    # A branch that is opened after this look is not in it, and neither are its files.
    dead = [folder for folder in folders(table) if folder.branch is None or folder.touched <= before]
    gone, waiting = set(), set()
    for folder in dead:
        if folder.branch:
            others = [fate for fate in folder.fates if not fate.endswith(folder.branch.id)]
            dropped = not claimed(folder.path, folder.branch.id) if dry_run else drop_branch(folder.branch)
            reach("collect.dropped")
            if not dropped:
                waiting.add(folder.name)
            elif not others:
                gone.add(folder.name)
    version = latest_version(table)
    kept = set()
    if version >= 0:
        kept = needed(table, version, moment - retention(snapshot(table, version)).total_seconds())
    found = []
    for folder in dead:
        if folder.name in waiting:
            found.append(Collected(waiting=1))
        elif folder.name in gone:
            found.append(Collected(1, len(folder.files), folder.bytes))
        else:
            found.append(_sweep(folder, kept, version, before, dry_run))
    if not dry_run:
        store.prune(f"{table}/{BRANCHES}", before)
    return Collected(*(sum(getattr(one, name) for one in found) for name in ("branches", "files", "bytes", "waiting")))


def _sweep(folder: Folder, kept: set[str], version: int, before: float, dry_run: bool) -> Collected:
    """Delete what nobody needs in a folder that belongs to no branch any more."""
    fates = [file for file in folder.files if f"{folder.path}{file.name.removeprefix(folder.name)}" in folder.fates]
    others = [file for file in folder.files if file not in fates]
    old = [file for file in others if f"{BRANCHES}/{file.name}" not in kept and file.modified <= before]
    if others and not old:
        return Collected()
    over = [_over(folder, fate, version, dry_run) for fate in folder.fates]
    if not all(over):
        return Collected(waiting=1)
    if len(old) == len(others):
        # The last to go: as long as one is there, a drop in this folder leaves data alone.
        old += fates
    if not dry_run:
        for file in old:
            store.delete(f"{folder.path}{file.name.removeprefix(folder.name)}")
            reach("collect.file_removed")
        reach("collect.emptied")
    return Collected(int(len(old) == len(folder.files)), len(old), sum(file.size for file in old))


def _over(folder: Folder, fate: str, version: int, dry_run: bool) -> bool:
    """Whether the branch of this fate cannot be published any more; a drop that died half-way is completed."""
    try:
        if not dry_run and folder.branch is None:
            note(folder.path.rpartition(f"/{BRANCHES}/")[0], fate)
        return settled(fate, version)
    except FileNotFoundError:
        return False  # Another collector is at it.
