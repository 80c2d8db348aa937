"""Private branches of a table: opened for one attempt, worked on by Spark. Dropping them is `lakehouse.delta.fate`'s.

A branch is a Delta table in a folder inside the table's own. Its data files become the table's when it is published.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from lakehouse.delta import store
from lakehouse.delta.fate import discard
from lakehouse.delta.features import Snapshot, snapshot
from lakehouse.delta.log import Action, checksum_file, commit_file, encode, latest_version
from lakehouse.delta.record import ADDED, RECORD, Branch, BranchRefused, Mode
from lakehouse.delta.replay import clone_actions
from lakehouse.delta.spec import PROTOCOL, TableSpec, checksum, grown, metadata
from lakehouse.killpoints import reach


def open_branch(table_path: str, branch_path: str, spec: TableSpec, mode: Mode) -> Branch:
    """A fresh branch of the table in `branch_path`, a folder inside the table's; what was in that folder is dropped.

    `append`: an empty table to append to. `clone`: the table as it is, to merge into, replace or delete from: what
    SHALLOW CLONE makes, written here without Spark. No data is copied, and both take milliseconds. Where there is
    no table yet both are empty, made from `spec`.
    Columns that the table lacks and `spec` has are on the branch; publishing it adds them to the table.
    Raises SchemaChanged for any other difference, UnknownFeature for a table that cannot be published to, and
    BranchRefused for a folder outside the table's, or one that somebody else opens a branch in at this moment.
    """
    table, folder = store.canonical(table_path), store.canonical(branch_path)
    if not folder.startswith(f"{table}/_"):
        raise BranchRefused(
            f"{branch_path} is not in a hidden folder of {table_path}.", "Put branches under _branch/ of their table."
        )
    discard(table, folder)
    base_version = latest_version(table)
    base = snapshot(table, base_version) if base_version >= 0 else None
    fields = spec.fields()
    files: list[Action] = []
    if base is None:
        protocol, told = PROTOCOL, metadata(fields, spec.partition_by, spec.properties)
        commits = [_first(protocol, told)]
        start = -1
    else:
        fields = grown(base, fields, spec.partition_by)
        protocol, told = base.protocol, metadata(base.fields, base.partition_by, base.properties)
        files = clone_actions(table, base_version) if mode == "clone" else []
        commits = [_first(protocol, told) + encode(files)]
        start = 0
        changed = {k: v for k, v in spec.properties.items() if base.properties.get(k) != v}
        if len(fields) > len(base.fields) or changed:
            evolved = metadata(fields, base.partition_by, {**base.properties, **changed})
            # A new id in the middle of a log would stop its readers.
            told = {**evolved, "id": told["id"]}
            commits.append(encode([{"metaData": told}]))
    branch = Branch(table, folder, base_version, mode, start, uuid.uuid4().hex)
    store.replace(f"{folder}/{RECORD}", branch.to_json().encode())
    reach("branch.record_written")
    for version, commit in enumerate(commits):
        if not store.put_if_absent(commit_file(folder, version), commit):
            raise BranchRefused(f"Somebody else is opening a branch in {folder}.", "Use a folder for each attempt.")
    if not files:
        # Of a log without a file Spark would otherwise find that out by four jobs, after its first commit.
        store.replace(checksum_file(folder, len(commits) - 1), checksum(protocol, told, ()))
    reach("branch.log_written")
    return branch


def added_rows(branch: Branch, added: Iterable[dict[str, Any]]) -> str:
    """Path of a Delta table that has the rows of the files `added` (see `Diff.added`) and no other.

    It lies in the branch's folder, and goes with it.
    """
    root, path = f"{store.uri(branch.table_path)}/", f"{branch.path}/{ADDED}"
    now = snapshot(branch.path, latest_version(branch.path))
    # Its own id, not a new one: whoever asks again finds the same table.
    first = _first(now.protocol, {**metadata(now.fields, now.partition_by, now.properties), "id": branch.id})
    files: list[Action] = [{"add": {**content, "path": root + content["path"]}} for content in added]
    store.replace(commit_file(path, 0), first + encode(files))
    return path


def table_sql(path: str) -> str:
    """The table or branch at `path` as Spark SQL names it."""
    from sqlglot import exp

    return f"delta.{exp.to_identifier(store.canonical(path), quoted=True).sql(dialect='spark')}"


def base_snapshot(branch: Branch) -> Snapshot | None:
    """The published table as the branch found it; None where there was none."""
    return None if branch.base_version < 0 else snapshot(branch.table_path, branch.base_version)


def _first(protocol: dict[str, Any], told: dict[str, Any]) -> bytes:
    actions: list[Action] = [{"protocol": protocol}, {"metaData": told}]
    return encode(actions)
