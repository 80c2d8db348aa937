"""What publishing a branch would change: its own commits squashed into one, every path rewritten for the table.

Reads logs only (and the footer of a Parquet file whose action tells no row count). Commits nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from lakehouse.delta import store
from lakehouse.delta.branch import base_snapshot
from lakehouse.delta.features import Snapshot, check_action
from lakehouse.delta.log import Action, kind_of, latest_version, read_commit
from lakehouse.delta.record import Branch, BranchRefused, in_table
from lakehouse.delta.spec import grown
from lakehouse.errors import LakehouseError

_DATA = ("add", "remove", "cdc")


class SeveralStatements(LakehouseError):
    """Statements on one branch whose row changes cannot be told in one commit."""


@dataclass(frozen=True)
class Diff:
    """The change of one branch, as log actions of its table."""

    #: protocol, metaData, txn, remove, add, cdc: in the order they are committed in.
    actions: tuple[Action, ...]
    files_added: int
    files_removed: int
    #: Rows in the files added and removed; a row that is rewritten unchanged counts in both.
    rows_added: int
    rows_removed: int
    #: commitInfo of the branch's last data-changing statement.
    statement: dict[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether publishing it would change nothing."""
        return not any(kind_of(a) in (*_DATA, "metaData", "protocol") for a in self.actions)

    @property
    def is_append(self) -> bool:
        """Whether it only adds files: no removal, no change of schema."""
        return all(kind_of(a) in ("add", "txn") for a in self.actions)

    @property
    def is_neutral(self) -> bool:
        """Whether it changes files and no row: no schema, nothing marked as a change of data."""
        data = [action[kind_of(action)] for action in self.actions if kind_of(action) in ("add", "remove")]
        kinds = {kind_of(action) for action in self.actions}
        return kinds <= {"add", "remove", "txn"} and not any(content["dataChange"] for content in data)

    @property
    def added(self) -> tuple[dict[str, Any], ...]:
        """Content of the add actions, paths relative to the table."""
        return tuple(a["add"] for a in self.actions if "add" in a)

    @property
    def removed(self) -> frozenset[str]:
        """Paths of the removed files as they are on disk, relative to the table."""
        return frozenset(store.decoded(a["remove"]["path"]) for a in self.actions if "remove" in a)

    @property
    def fingerprint(self) -> str:
        """Identifies this very candidate: another file, or another schema, is another fingerprint."""
        said = [(kind_of(a), a[kind_of(a)]) for a in self.actions]
        named = sorted(json.dumps([kind, content.get("path"), content.get("schemaString")]) for kind, content in said)
        return sha256(json.dumps(named).encode()).hexdigest()


def diff(branch: Branch) -> Diff:
    """The branch against the version of the table that it started from.

    Raises UnknownFeature (naming it) for anything it cannot carry over faithfully, SchemaChanged for a schema that is
    not the base's plus nullable columns, SeveralStatements where a change feed would lose rows, and BranchRefused
    where the branch is gone.
    """
    base = base_snapshot(branch)
    latest = latest_version(branch.path)
    if latest < max(branch.start, 0):
        raise BranchRefused(f"There is no branch in {branch.path}.", "Work again on a new branch.")
    squash = _Squash(branch)
    for version in range(branch.start + 1, latest + 1):
        squash.take(version)
    squash.check_feed(base)
    head = [*squash.protocol(base), *squash.metadata(base), *squash.transactions.values()]
    data = squash.data()
    added, removed = ([a[kind] for a in data if kind in a] for kind in ("add", "remove"))
    table = branch.table_path
    return Diff(
        actions=(*head, *data),
        files_added=len(added),
        files_removed=len(removed),
        rows_added=sum(rows_of(table, a) for a in added),
        rows_removed=sum(rows_of(table, r) for r in removed),
        statement=squash.statement,
    )


class _Squash:
    """Several commits of a branch as one."""

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.files: dict[str, Action] = {}
        self.feed: list[Action] = []
        self.transactions: dict[str, Action] = {}
        self.statement: dict[str, Any] = {}
        self._protocol: dict[str, Any] | None = None
        self._metadata: dict[str, Any] | None = None
        #: Commits that touched files, and those of them that changed rows.
        self.commits = self.changing = 0

    def take(self, version: int) -> None:
        """One more commit, in order."""
        info: dict[str, Any] = {}
        touches = changes = False
        for action in read_commit(self.branch.path, version):
            kind = kind_of(action)
            content = dict(action[kind])
            if kind == "commitInfo":
                info = content
                continue
            check_action(self.branch.path, kind, content)
            if kind in _DATA:
                own = not urlsplit(content["path"]).scheme
                content["path"] = in_table(self.branch, content["path"])
                touches = True
                changes |= kind != "cdc" and bool(content["dataChange"])
                self._file(kind, content, own)
            elif kind == "txn":
                self.transactions[content["appId"]] = {"txn": content}
            elif kind == "protocol":
                self._protocol = content
            else:
                self._metadata = content
        self.commits += touches
        self.changing += changes
        if changes or not self.statement:
            self.statement = info

    def data(self) -> list[Action]:
        """remove, add and cdc actions.

        Where statements that change rows and others that only rewrite them (OPTIMIZE) are mixed, a rewritten file may
        hold changed rows: all of them then count as changes.
        """
        found = sorted(self.files.values(), key=lambda a: kind_of(a) == "add") + self.feed
        if self.changing and self.commits > 1:
            for action in found:
                if "cdc" not in action:
                    action[kind_of(action)]["dataChange"] = True
        return found

    def metadata(self, base: Snapshot | None) -> list[Action]:
        """The metaData action that the table needs, if any; a published table keeps its identity."""
        told = self._metadata
        if told is None:
            return []
        if base is None:
            return [{"metaData": told}]
        fields = json.loads(told["schemaString"])["fields"]
        partitions = tuple(told.get("partitionColumns") or ())
        grown(base, fields, partitions)
        properties = told.get("configuration") or {}
        if len(fields) == len(base.fields) and properties == base.properties:
            return []
        keep: dict[str, Any] = {"id": base.id, "name": base.name, "description": base.description}
        carried = {**told, **{k: v for k, v in keep.items() if v is not None}, "createdTime": base.created}
        return [{"metaData": carried}]

    def protocol(self, base: Snapshot | None) -> list[Action]:
        """The protocol action that the table needs, if any."""
        if self._protocol is None or (base is not None and self._protocol == base.protocol):
            return []
        return [{"protocol": self._protocol}]

    def check_feed(self, base: Snapshot | None) -> None:
        """A commit with cdc files is read from these alone: another statement's plain adds would be lost to it."""
        properties = base.properties if base else (self._metadata or {}).get("configuration", {})
        if self.feed and self.changing > 1 and properties.get("delta.enableChangeDataFeed", "").lower() == "true":
            raise SeveralStatements(
                f"{self.branch.path}: {self.changing} statements changed rows, and the table has a change feed.",
                "Write the change as one MERGE, or use a branch for each statement.",
            )

    def _file(self, kind: str, content: dict[str, Any], own: bool) -> None:
        name = store.decoded(content["path"])
        if kind == "cdc":
            self.feed.append({kind: content})
        elif kind == "remove" and own:
            # It came and went on the branch: the table never hears of it.
            self.files.pop(name, None)
        else:
            self.files[name] = {kind: content}


def rows_of(table: str, content: dict[str, Any]) -> int:
    """Rows of a file, given the content of its action: as its statistics say, or as the file itself does."""
    told = json.loads(content.get("stats") or "{}").get("numRecords")
    if told is not None:
        return int(told)
    return int(store.open_parquet(f"{table}/{store.decoded(content['path'])}").metadata.num_rows)
