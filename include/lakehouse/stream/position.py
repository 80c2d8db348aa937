"""Where a stream stands besides its records: which topic it reads, its checkpoint, what somebody said of it.

One JSON file beside the landing table, replaced whole. The landing table says which offsets have landed, and Spark's
checkpoint is only what Spark remembers of its own run: where the two disagree, a new checkpoint is begun.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from lakehouse.delta import store
from lakehouse.errors import LakehouseError


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
    """Immutable; `write` puts it in force."""

    #: UUID of the topic that is read; "" before the first run.
    topic_id: str = ""
    #: Number of the checkpoint in use.
    checkpoint: int = 0
    #: The attempt that streamed last; a new one closes its session first.
    attempt: str = ""
    #: Partition -> offset before which nothing is asked for any more: the topic has lost it, and somebody said so.
    given_up: Mapping[str, int] = field(default_factory=dict)
    said: tuple[Said, ...] = ()

    def with_word(self, at: datetime, by: str, what: str, reason: str) -> Position:
        """The same, with what somebody decided on record."""
        return replace(self, said=(*self.said, Said(at.isoformat(timespec="seconds"), by, what, reason)))

    def floor(self, partition: int) -> int:
        """The offset before which nothing of the partition is missed."""
        return self.given_up.get(str(partition), 0)


def read(folder: str) -> Position:
    """The position in the stream's folder; a new one where there is none. Raises PositionBroken."""
    try:
        told: dict[str, Any] = json.loads(store.read(_path(folder)))
        said = tuple(Said(**word) for word in told.pop("said"))
        return Position(**told, said=said)
    except FileNotFoundError:
        return Position()
    except (ValueError, TypeError, KeyError) as error:
        raise PositionBroken(
            f"{_path(folder)} is no position of a stream.",
            "Delete it: the next run asks the topic and the landed records again.",
        ) from error


def write(folder: str, position: Position) -> None:
    """Put `position` in force."""
    store.replace(_path(folder), json.dumps(asdict(position), indent=1).encode())


def checkpoint(folder: str, position: Position) -> str:
    """Folder of Spark's checkpoint."""
    return f"{folder}/checkpoint-{position.checkpoint:04d}"


def records(folder: str) -> str:
    """Path of the landing table."""
    return f"{folder}/records"


def _path(folder: str) -> str:
    return f"{folder}/position.json"
