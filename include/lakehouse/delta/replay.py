"""The files of a table at one version, replayed from its log: newest checkpoint below it, then commits.

Not for reading data, and not for changes between versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.delta import store
from lakehouse.delta.features import UnknownFeature, check_action
from lakehouse.delta.log import Action, LogIncomplete, log_folder, read_commit

#: Version; where it is in parts: which of them, and how many there are.
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.(?:(\d{10})\.(\d{10})\.)?parquet")
_V2 = re.compile(r"\d{20}\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)")


@dataclass(frozen=True)
class Files:
    """What a version consists of, and what it remembers of files removed. By path as the store knows it."""

    #: Content of the add actions in force.
    active: dict[str, dict[str, Any]]
    #: Content of the remove actions that the log still holds.
    removed: dict[str, dict[str, Any]]


def active_files(path: str, version: int) -> list[dict[str, Any]]:
    """The content of every add action that is in force at `version`, statistics included.

    Raises LogIncomplete where commits are gone, UnknownFeature for an action that cannot be carried over.
    """
    found = list(files_at(path, version).active.values())
    for content in found:
        check_action(path, "add", content)
    return found


def files_at(path: str, version: int) -> Files:
    """The files of `version`. Raises LogIncomplete where commits are gone, UnknownFeature for a v2 checkpoint."""
    files = Files({}, {})
    start, parts = newest_checkpoint(path, version)
    for part in parts:
        for action in of_checkpoint(path, part, ("add", "remove")):
            _apply(files, action)
    number = start
    try:
        for number in range(start + 1, version + 1):
            for action in read_commit(path, number):
                _apply(files, action)
    except FileNotFoundError as error:
        raise LogIncomplete(
            f"{path}: the log no longer tells version {version} (the commit of version {number} is gone).",
            "Work on the latest version, or restore the log's files.",
        ) from error
    return files


def clone_actions(path: str, version: int) -> list[Action]:
    """The adds of a shallow clone: the table's files by absolute URI, spelled as Spark spells them."""
    root = f"{store.uri(path)}/"
    return [{"add": {**content, "path": root + content["path"]}} for content in active_files(path, version)]


def _apply(files: Files, action: Action) -> None:
    if "add" in action:
        name = store.decoded(action["add"]["path"])
        files.active[name] = action["add"]
        files.removed.pop(name, None)
    elif "remove" in action:
        name = store.decoded(action["remove"]["path"])
        files.active.pop(name, None)
        files.removed[name] = action["remove"]


def newest_checkpoint(path: str, version: int) -> tuple[int, list[str]]:
    """Version and files of the newest whole checkpoint up to `version`; -1 and none where there is none."""
    found: dict[int, dict[str, int]] = {}
    for name in store.names(log_folder(path)):
        if _V2.fullmatch(name):
            raise UnknownFeature(f"{path} has a v2 checkpoint ({name}).", "Set delta.checkpointPolicy to classic.")
        match = _CHECKPOINT.fullmatch(name)
        if match and int(match[1]) <= version:
            # One file, or one of several, of which a killed writer may have left some only.
            found.setdefault(int(match[1]), {})[name] = int(match[3] or 1)
    for number in sorted(found, reverse=True):
        for count in set(found[number].values()):
            parts = [name for name, whole in found[number].items() if whole == count]
            if len(parts) == count:
                return number, parts
    return -1, []


def of_checkpoint(path: str, name: str, kinds: Sequence[str]) -> Iterator[Action]:
    """The actions of these kinds in one file of a checkpoint."""
    import pyarrow.compute as pc

    file = store.open_parquet(f"{log_folder(path)}/{name}")
    for kind in kinds:
        if kind not in file.schema_arrow.names:
            continue
        column = file.read(columns=[kind])[kind]
        for content in column.filter(pc.is_valid(column)).to_pylist():
            kept = {k: v for k, v in content.items() if v is not None and not k.endswith("_parsed")}
            for maps in ("partitionValues", "tags"):
                if isinstance(kept.get(maps), list):
                    kept[maps] = dict(kept[maps])
            if kind == "add":
                kept.setdefault("partitionValues", {})
            yield {kind: kept}
