"""Which partitions of a table OPTIMIZE has work in: asked of the Delta log, in milliseconds, without Spark.

An optimize leaves a transaction in the log, `optimize`, whose number is one more than the version that was optimized,
and names its columns in the commit. A partition that no commit after that version changed rows in is as it left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse.contracts.layout import TARGET
from lakehouse.delta.log import (
    commit_metadata,
    committed_at,
    kind_of,
    latest_version,
    read_commit,
    transaction_version,
)
from lakehouse.delta.replay import active_files
from lakehouse.maintenance.sizes import Sizes, sizes

#: App id of the transactions.
APPLICATION = "optimize"

#: Values of the partition columns as the log spells them, in the table's order; None is null.
Partition = tuple[str | None, ...]


@dataclass(frozen=True)
class Due:
    """What is to be done in one table."""

    #: -1: there is no table.
    version: int
    before: Sizes
    partition_by: tuple[str, ...]
    #: All partitions of the table, and those with work in them.
    partitions: int
    due: tuple[Partition, ...]


def due(path: str, zorder: Sequence[str], target: int = TARGET) -> Due:
    """What an optimize of the table at `path` by `zorder`, into files of `target` bytes, would touch.

    Raises LogIncomplete, UnknownFeature.
    """
    from lakehouse.delta.features import snapshot

    version = latest_version(path)
    if version < 0:
        return Due(-1, sizes(()), (), 0, ())
    partition_by = snapshot(path, version).partition_by
    files: dict[Partition, list[int]] = {}
    adds = active_files(path, version)
    for add in adds:
        files.setdefault(_partition(add, partition_by), []).append(int(add["size"]))
    touched = _touched(path, version, partition_by, zorder)
    worth = [
        partition
        for partition, found in files.items()
        if (touched is None or partition in touched) and _worth(found, bool(zorder), target)
    ]
    ordered = sorted(worth, key=lambda partition: tuple(value or "" for value in partition))
    return Due(version, sizes(adds), partition_by, len(files), tuple(ordered))


def _worth(found: list[int], ordered: bool, target: int) -> bool:
    """Whether two files of a partition could become one, or their rows be ordered across them."""
    if len(found) < 2:
        return False
    return ordered or sum(sorted(found)[:2]) <= target


def _touched(path: str, version: int, partition_by: tuple[str, ...], zorder: Sequence[str]) -> set[Partition] | None:
    """Partitions whose rows changed since the last optimize; None where none by `zorder` is told of."""
    number = transaction_version(path, APPLICATION)
    done = None if number is None else committed_at(path, APPLICATION, number, number - 1)
    if number is None or done is None or (commit_metadata(path, done) or {}).get(APPLICATION) != list(zorder):
        return None
    found = set()
    for later in range(number, version + 1):
        try:
            for action in read_commit(path, later):
                content = action[kind_of(action)]
                if kind_of(action) in ("add", "remove") and content["dataChange"]:
                    if content.get("partitionValues") is None and partition_by:
                        return None  # A removal need not say where it was.
                    found.add(_partition(content, partition_by))
        except FileNotFoundError:
            return None
    return found


def _partition(content: dict[str, Any], partition_by: tuple[str, ...]) -> Partition:
    values = content.get("partitionValues") or {}
    return tuple(values.get(name) or None for name in partition_by)
