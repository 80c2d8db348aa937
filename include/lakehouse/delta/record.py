"""A branch as it is on record: a JSON file in its folder, which other processes find it by."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import urlsplit

from lakehouse.delta import store
from lakehouse.delta.features import UnknownFeature
from lakehouse.errors import LakehouseError

Mode = Literal["append", "clone"]

#: Delta's readers skip names that start with an underscore.
RECORD = "_branch.json"
#: Folder, in a branch's, of a table that has the files it adds (see `branch.added_rows`).
ADDED = "_added"


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
        return self.path.removeprefix(f"{self.table_path}/")


def recorded(folder: str) -> Branch | None:
    """The branch that the folder belongs to; None where it was dropped, or never was one."""
    try:
        return Branch.from_json(store.read(f"{folder}/{RECORD}").decode())
    except FileNotFoundError:
        return None


def held(branch: Branch) -> bool:
    """Whether the folder still belongs to this branch."""
    record = recorded(branch.path)
    return record is not None and record.id == branch.id


def in_table(branch: Branch, path: str) -> str:
    """A path of the branch's log as the table's log spells it: relative to the table, encoded as it was.

    Its own files are relative to the branch; files of the base are absolute URIs.
    """
    if not urlsplit(path).scheme:
        return f"{store.encoded(branch.inside)}/{path}"
    found = store.relative(branch.table_path, path)
    if found is not None:
        return found
    raise UnknownFeature(f"{branch.path} names a file outside its table: {path}.", "Open the branch again.")
