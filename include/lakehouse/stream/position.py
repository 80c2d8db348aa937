"""Where a stream stands besides its records: which topic it reads, from where, its checkpoint, who is at it, what
somebody said of it.

Numbered JSON files beside the landing table. The highest number holds; whoever changes something writes the next one,
which one of several writers can. The landing table says which offsets have landed, and Spark's checkpoint is only what
Spark remembers of its own run: where the two disagree, a new checkpoint is begun.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from lakehouse.delta import store
from lakehouse.errors import LakehouseError

#: Old positions that are kept to look at.
KEPT = 20


class PositionBroken(LakehouseError):
    """The position cannot be read."""


@dataclass(frozen=True)
class Said:
    """What a person decided about a stream."""

    at: str
    by: str
    what: str
    reason: str


@dataclass(frozen=True)
class Position:
    """Immutable; `write` puts a later one in force."""

    #: Its place in the order of positions; 0 where there is none yet.
    number: int = 0
    #: UUID of the topic that is read; "" before the first run.
    topic_id: str = ""
    #: Number of the checkpoint in use.
    checkpoint: int = 0
    #: Attempts that may still be at it: whoever comes next closes their sessions first.
    attempts: tuple[str, ...] = ()
    #: Partition -> the offset it was begun at when it was first seen, or rewound to.
    begun: Mapping[str, int] = field(default_factory=dict)
    #: Partition -> offset before which nothing is asked for any more: the topic has lost it, and somebody said so.
    given_up: Mapping[str, int] = field(default_factory=dict)
    said: tuple[Said, ...] = ()

    def with_word(self, at: datetime, by: str, what: str, reason: str) -> Position:
        """The same, with what somebody decided on record."""
        return replace(self, said=(*self.said, Said(at.isoformat(timespec="seconds"), by, what, reason)))

    def wanted(self, partition: int, landed: Mapping[int, int]) -> int | None:
        """The next offset to land of a partition, None of one that was never seen. `landed`: where its records end."""
        next_one = landed.get(partition, self.begun.get(str(partition)))
        return None if next_one is None else max(next_one, self.given_up.get(str(partition), 0))


def read(folder: str) -> Position:
    """The position in force in the stream's folder; a new one where there is none. Raises PositionBroken."""
    there = _numbers(folder)
    if not there:
        return Position()
    path = _path(folder, there[-1])
    try:
        told: dict[str, Any] = json.loads(store.read(path))
        said = tuple(Said(**word) for word in told.pop("said"))
        return Position(**{**told, "attempts": tuple(told["attempts"]), "number": there[-1]}, said=said)
    except (ValueError, TypeError, KeyError) as error:
        raise PositionBroken(
            f"{path} is no position of a stream.",
            "Delete this file: the one before it is in force then. See runbooks/streaming_restart.md.",
        ) from error


def write(folder: str, before: Position, after: Position) -> Position | None:
    """Put `after` in force in place of `before`; None where somebody else has changed it since `before` was read."""
    following = replace(after, number=before.number + 1)
    if not store.put_if_absent(_path(folder, following.number), json.dumps(asdict(following), indent=1).encode()):
        return None
    for number in _numbers(folder)[:-KEPT]:
        store.delete(_path(folder, number))
    return following


def checkpoint(folder: str, position: Position) -> str:
    """Folder of Spark's checkpoint."""
    return f"{folder}/checkpoint-{position.checkpoint:04d}"


def next_checkpoint(folder: str, position: Position) -> int:
    """A number that no checkpoint has, nor had one that is still there."""
    there = [name.removeprefix("checkpoint-").strip("/") for name in store.names(folder)]
    return 1 + max([position.checkpoint, *(int(number) for number in there if number.isdecimal())])


def forget_checkpoints(folder: str, position: Position) -> None:
    """Delete every checkpoint but the one in use."""
    used = checkpoint(folder, position).rpartition("/")[2]
    for name in {name.strip("/") for name in store.names(folder)} - {used}:
        if name.startswith("checkpoint-"):
            store.remove_tree(f"{folder}/{name}")


def _numbers(folder: str) -> list[int]:
    names = [name.removesuffix(".json") for name in store.names(f"{folder}/position")]
    return sorted(int(name) for name in names if name.isdecimal())


def _path(folder: str, number: int) -> str:
    return f"{folder}/position/{number:012d}.json"
