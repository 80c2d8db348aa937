"""The branches of a table as they lie in its folder: on record, published, given up, forgotten. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from lakehouse.delta import store
from lakehouse.delta.fate import FATE, claimed
from lakehouse.delta.log import latest_version, read_commit
from lakehouse.delta.record import RECORD, Branch, recorded
from lakehouse.delta.store import File

#: Folder of a table that its branches lie in: `_branch/<batch>/<attempt>/`.
BRANCHES = "_branch"


@dataclass
class Folder:
    """The folder of one branch, or of several that followed each other in it."""

    #: Relative to `_branch/`.
    name: str
    path: str
    #: None where it was dropped.
    branch: Branch | None = None
    #: Data files and all else; names are relative to `_branch/`.
    files: list[File] = field(default_factory=list)

    @property
    def touched(self) -> float:
        """When anything was last written here, Unix seconds: a branch that is worked on is not old."""
        return max((file.modified for file in self.files), default=0.0)

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(file.size for file in self.files)

    @property
    def fates(self) -> list[str]:
        """Paths of the fates in it."""
        found = [file.name.removeprefix(f"{self.name}/") for file in self.files]
        return [f"{self.path}/{name}" for name in found if name.startswith(FATE)]


def folders(table_path: str) -> list[Folder]:
    """Every folder under `_branch/` that a branch is or was in, by name. One walk."""
    root = f"{store.canonical(table_path)}/{BRANCHES}"
    files = list(store.walk(root))
    roots = {name for file in files if (name := _root(file.name))}
    found: dict[str, Folder] = {}
    for file in files:
        parts = file.name.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        # Data without a record or a log: where a branch of the lake's layout would have been.
        name = next((prefix for prefix in above if prefix in roots), "/".join(parts[:-1][:2]))
        found.setdefault(name, Folder(name, f"{root}/{name}")).files.append(file)
    for folder in found.values():
        if any(file.name == f"{folder.name}/{RECORD}" for file in folder.files):
            folder.branch = recorded(folder.path)
    return [found[name] for name in sorted(found)]


def published_version(branch: Branch) -> int | None:
    """The commit of the table that holds the branch; None where it is not published, or the log is too short to say."""
    if not claimed(branch.path, branch.id):
        return None
    for version in range(branch.base_version + 1, latest_version(branch.table_path) + 1):
        try:
            if any(
                a.get("commitInfo", {}).get("branchId") == branch.id for a in read_commit(branch.table_path, version)
            ):
                return version
        except FileNotFoundError:
            continue
    return None


def _root(name: str) -> str | None:
    """The folder of a branch that a file of this name gives away."""
    head, _, last = name.rpartition("/")
    if last == RECORD or last.startswith(FATE):
        return head
    before, log, _ = f"{head}/".partition("/_delta_log/")
    return before if log else None
