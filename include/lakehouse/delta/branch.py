"""Private branches of a table: opened for one attempt, worked on by Spark, dropped or published.

A branch is a Delta table in a folder inside the table's own. Its data files become the table's when it is published, so
dropping one deletes data only when no commit of the table can refer to it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lakehouse.delta import store
from lakehouse.delta.features import Snapshot, snapshot
from lakehouse.delta.log import Action, commit_file, encode, kind_of, latest_version, log_folder, read_commit
from lakehouse.delta.replay import clone_actions
from lakehouse.delta.spec import PROTOCOL, TableSpec, grown, metadata
from lakehouse.errors import LakehouseError

Mode = Literal["append", "clone"]

#: The branch as JSON, in its own folder. Delta's readers skip names that start with an underscore.
RECORD = "_branch.json"
#: Commits of this branch that are about to be linked into the table's log.
DRAFT = "_commit-"


class BranchRefused(LakehouseError):
    """A branch cannot be opened or used."""


@dataclass(frozen=True)
class Branch:
    """A branch: which table at which version, and where. Goes from process to process as JSON."""

    table_path: str
    path: str
    #: Version of the table that it starts from; -1 where there was no table.
    base_version: int
    mode: Mode
    #: Its own commits come after this version of its log; -1: all of them are.
    start: int
    #: Tells it from an earlier branch in the same folder.
    id: str

    def to_json(self) -> str:
        """As text, for another process."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Branch:
        """The branch that `to_json` wrote."""
        return Branch(**json.loads(text))

    @property
    def inside(self) -> str:
        """Its folder, relative to the table's."""
        return store.local(self.path).relative_to(store.local(self.table_path)).as_posix()


def open_branch(table_path: str, branch_path: str, spec: TableSpec, mode: Mode) -> Branch:
    """A fresh branch of the table in `branch_path`, a folder inside the table's; what was in that folder is dropped.

    `append`: an empty table to append to. `clone`: the table as it is, to merge into, replace or delete from: what
    SHALLOW CLONE makes, written here without Spark. No data is copied, and both take milliseconds. Where there is
    no table yet both are empty, made from `spec`.
    Columns that the table lacks and `spec` has are on the branch; publishing it adds them to the table.
    Raises SchemaChanged for any other difference, UnknownFeature for a table that cannot be published to, and
    BranchRefused for a folder outside the table's.
    """
    table, folder = store.local(table_path), store.local(branch_path)
    if table not in folder.parents or not folder.relative_to(table).parts[0].startswith("_"):
        raise BranchRefused(
            f"{branch_path} is not in a hidden folder of {table_path}.", "Put branches under _branch/ of their table."
        )
    _discard(str(table), folder)
    base_version = latest_version(str(table))
    base = snapshot(str(table), base_version) if base_version >= 0 else None
    fields = spec.fields()
    if base is None:
        commits = [_first(PROTOCOL, metadata(fields, spec.partition_by, spec.properties))]
        start = -1
    else:
        fields = grown(base, fields, spec.partition_by)
        first = _first(base.protocol, metadata(base.fields, base.partition_by, base.properties))
        files = clone_actions(str(table), base_version) if mode == "clone" else []
        commits = [first + encode(files)]
        start = 0
    branch = Branch(str(table), str(folder), base_version, mode, start, uuid.uuid4().hex)
    store.replace(folder / RECORD, branch.to_json().encode())
    store.put_if_absent(commit_file(branch.path, 0), commits[0])
    if base is None:
        return branch
    changed = {k: v for k, v in spec.properties.items() if base.properties.get(k) != v}
    if len(fields) > len(base.fields) or changed:
        evolved = metadata(fields, base.partition_by, {**base.properties, **changed})
        # A new id in the middle of a log would stop its readers.
        evolved["id"] = _metadata_of(branch)["id"]
        store.put_if_absent(commit_file(branch.path, start + 1), encode([{"metaData": evolved}]))
    return branch


def table_sql(path: str) -> str:
    """The table or branch at `path` as Spark SQL names it."""
    from sqlglot import exp

    return f"delta.{exp.to_identifier(path, quoted=True).sql(dialect='spark')}"


def drop_branch(branch: Branch) -> None:
    """Give up the branch, or clear up after its publish. Safe at any time, in any process, more than once.

    Afterwards it cannot be published. Its data files are deleted unless the table may refer to them. A branch that was
    opened in the same folder since is left alone.
    """
    folder = store.local(branch.path)
    record = _recorded(folder)
    if record is None or record.id == branch.id:
        _discard(branch.table_path, folder)


def held(branch: Branch) -> bool:
    """Whether the folder still belongs to this branch."""
    record = _recorded(store.local(branch.path))
    return record is not None and record.id == branch.id


def refers(table_path: str, inside: str, after: int) -> bool | None:
    """Whether a commit of the table after version `after` names files in its folder `inside`; None: log too short."""
    prefix = inside.rstrip("/") + "/"
    for version in range(after + 1, latest_version(table_path) + 1):
        try:
            for action in read_commit(table_path, version):
                content = action[kind_of(action)]
                if kind_of(action) in ("add", "cdc") and store.decoded(content["path"]).startswith(prefix):
                    return True
        except FileNotFoundError:
            return None
    return False


def _discard(table_path: str, folder: Path) -> None:
    """Empty a branch's folder, keeping data files that the table may refer to.

    The order matters: taking away record and drafts bars a publish that is under way elsewhere (it writes its draft,
    then looks at the record, then links the draft). Only then is it certain whether the branch was published.
    """
    if not folder.exists():
        return
    record = _recorded(folder)
    (folder / RECORD).unlink(missing_ok=True)
    for name in store.names(folder):
        if name.startswith(DRAFT):
            (folder / name).unlink(missing_ok=True)
    # Without a record its start is unknown, and so is whether it was published: its data stays.
    unused = record is not None and refers(table_path, record.inside, record.base_version) is False
    if unused and not _left_over(folder):
        store.remove_tree(folder)
    else:
        store.remove_tree(log_folder(str(folder)))
        (folder / _KEPT).touch()


#: Says that a folder holds data files of an earlier branch that was, or may have been, published.
_KEPT = "_kept"


def _left_over(folder: Path) -> bool:
    return (folder / _KEPT).exists()


def _recorded(folder: Path) -> Branch | None:
    try:
        return Branch.from_json((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _first(protocol: dict[str, Any], told: dict[str, Any]) -> bytes:
    actions: list[Action] = [{"protocol": protocol}, {"metaData": told}]
    return encode(actions)


def _metadata_of(branch: Branch) -> dict[str, Any]:
    for version in range(branch.start, -1, -1):
        for action in read_commit(branch.path, version):
            if "metaData" in action:
                return action["metaData"]
    raise BranchRefused(f"The log of {branch.path} has no metaData.", "Open the branch again.")


def base_snapshot(branch: Branch) -> Snapshot | None:
    """The published table as the branch found it; None where there was none."""
    return None if branch.base_version < 0 else snapshot(branch.table_path, branch.base_version)
