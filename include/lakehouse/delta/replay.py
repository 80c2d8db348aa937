"""The files of a table at one version, replayed from its log: newest checkpoint below it, then commits.

Not for reading data, and not for changes between versions.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from lakehouse.delta import store
from lakehouse.delta.features import check_action
from lakehouse.delta.log import Action, log_folder, read_commit
from lakehouse.errors import LakehouseError

_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")


class LogIncomplete(LakehouseError):
    """A version that the log can no longer tell."""


def active_files(path: str, version: int) -> list[dict[str, Any]]:
    """The content of every add action that is in force at `version`, statistics included.

    Raises LogIncomplete where commits are gone, UnknownFeature for an action that cannot be carried over.
    """
    files: dict[str, dict[str, Any]] = {}
    start = max(
        (int(m[1]) for n in store.names(log_folder(path)) if (m := _CHECKPOINT.fullmatch(n)) and int(m[1]) <= version),
        default=-1,
    )
    if start >= 0:
        files = {unquote(add["path"]): add for add in _of_checkpoint(path, start)}
    try:
        for number in range(start + 1, version + 1):
            for action in read_commit(path, number):
                if "add" in action:
                    files[unquote(action["add"]["path"])] = action["add"]
                elif "remove" in action:
                    files.pop(unquote(action["remove"]["path"]), None)
    except FileNotFoundError as error:
        raise LogIncomplete(
            f"{path}: the log no longer tells version {version} ({error.filename} is gone).",
            "Work on the latest version, or restore the log's files.",
        ) from error
    for content in files.values():
        check_action(path, "add", content)
    return list(files.values())


def clone_actions(path: str, version: int) -> list[Action]:
    """The adds of a shallow clone: the table's files by absolute URI, spelled as Spark spells them."""
    root = f"file:{quote(str(store.local(path)))}/"
    return [{"add": {**content, "path": root + content["path"]}} for content in active_files(path, version)]


def _of_checkpoint(path: str, version: int) -> list[dict[str, Any]]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = log_folder(path) / f"{version:020}.checkpoint.parquet"
    adds = pq.read_table(file, columns=["add"])["add"]
    found = []
    for content in adds.filter(pc.is_valid(adds)).to_pylist():
        kept = {k: v for k, v in content.items() if v is not None and not k.endswith("_parsed")}
        for name in ("partitionValues", "tags"):
            if isinstance(kept.get(name), list):
                kept[name] = dict(kept[name])
        kept.setdefault("partitionValues", {})
        found.append(kept)
    return found
