"""Which offsets a stream asks for next, and how many have not landed: from topic, landed records and position alone."""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.stream.broker import Topic
from lakehouse.stream.position import Position

RUNBOOK = "runbooks/streaming_restart.md"


class OffsetsLost(LakehouseError):
    """The topic no longer has records that never landed."""


def lag(topic: Topic, landed: Mapping[int, int], position: Position) -> int:
    """Offsets of the topic that have not landed."""
    ends = ((high, position.wanted(partition, landed), low) for partition, (low, high) in topic.offsets.items())
    return sum(max(high - max(low if wanted is None else wanted, low), 0) for high, wanted, low in ends)


def first_offsets(source: Source, topic: Topic, position: Position, landed: Mapping[int, int]) -> dict[str, int]:
    """Partition -> the offset it is begun at, of every partition of the topic.

    Of one that was not seen yet: at the very first run the first that the topic has, or with the contract's option
    startingOffsets `latest` its end; later, when the topic grew by it, 0.
    """
    begun = dict(position.begun)
    for partition, (low, high) in topic.offsets.items():
        if str(partition) not in begun:
            fresh = not (landed or position.topic_id or position.said)
            first = high if fresh and source.options.get("startingOffsets") == "latest" else low
            begun[str(partition)] = landed.get(partition, 0 if position.begun else first)
    return begun


def starting_offsets(contract: Contract, topic: Topic, landed: Mapping[int, int], position: Position) -> dict[int, int]:
    """Partition -> the first offset to ask for. Raises OffsetsLost where the topic cannot give it."""
    start: dict[int, int] = {}
    for partition, (low, high) in topic.offsets.items():
        wanted = position.wanted(partition, landed)
        if wanted is None:
            wanted = low
        if wanted > high:
            raise OffsetsLost(
                f"{contract.name}: partition {partition} of topic '{topic.name}' ends at offset {high}, and {wanted} "
                "is the next to land: the broker has lost records that landed here.",
                f"See {RUNBOOK}, broker loss: what landed is safe; wait for the broker's own recovery.",
            )
        if wanted < low:
            raise OffsetsLost(
                f"{contract.name}: topic '{topic.name}' has deleted offsets {wanted} to {low - 1} of partition "
                f"{partition} before they landed.",
                "Have the topic's retention raised. Go on without them, on record, by `lakehouse stream give-up "
                f"--table {contract.name} --reason ...`; see {RUNBOOK}.",
            )
        start[partition] = wanted
    return start
