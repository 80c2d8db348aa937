"""What a person may decide about a stream. Each decision is kept in its position, with who and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lakehouse import paths
from lakehouse.clock import now
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.sqltext import literal
from lakehouse.stream import position as positions
from lakehouse.stream.broker import Broker, Topic
from lakehouse.stream.claim import claimed
from lakehouse.stream.offsets import first_offsets, lag
from lakehouse.stream.position import Position
from lakehouse.stream.records import Records


class DecisionRefused(LakehouseError):
    """There is nothing to decide, or not like that."""


def standing(contract: Contract, source: Source, broker: Broker) -> list[dict[str, Any]]:
    """A row a partition: offsets of the topic, landed, loaded, lag."""
    from lakehouse import ledger
    from lakehouse.ledger.state import delivered

    topic, position, records = _there(contract, source, broker)
    known = position.topic_id or topic.id
    there, done = records.pieces(), delivered(ledger.read(contract.name))
    landed = there.landed(known)
    begun = replace(position, begun=first_offsets(source, topic, position, landed))
    loaded: dict[int, int] = {}
    for piece in there:
        if piece.topic_id == known and piece.name in done:
            loaded[piece.partition] = max(loaded.get(piece.partition, 0), piece.last + 1)
    return [
        {
            "partition": partition,
            "first": low,
            "end": high,
            "landed": landed.get(partition, 0),
            "loaded": loaded.get(partition, 0),
            "lag": lag(Topic(topic.name, topic.id, {partition: (low, high)}), landed, begun),
            "topic_id": known if known == topic.id else f"{known}, but the topic is {topic.id}",
            "checkpoint": position.checkpoint,
        }
        for partition, (low, high) in sorted(topic.offsets.items())
    ]


def adopt(contract: Contract, source: Source, broker: Broker, by: str, reason: str) -> Position:
    """Read the topic that was made anew, from its first offset. What the old one gave stays.

    Raises DecisionRefused where it is the topic that is read already.
    """
    topic, position, records = _there(contract, source, broker)
    read = position.topic_id or next((piece.topic_id for piece in records.pieces()), "")
    if read in ("", topic.id):
        raise DecisionRefused(
            f"{contract.name}: topic '{topic.name}' is the one that is read ({topic.id}).", "There is nothing to adopt."
        )
    told = f"adopted topic {topic.id} in place of {read}"
    return _said(contract, position, replace(position, topic_id=topic.id, begun={}, given_up={}), by, told, reason)


def give_up(contract: Contract, source: Source, broker: Broker, by: str, reason: str) -> Position:
    """Go on without the offsets that the topic has deleted before they landed; which, is kept.

    Raises DecisionRefused where none are missing.
    """
    topic, position, records = _there(contract, source, broker)
    landed = records.pieces().landed(topic.id)
    # Partitions that came since the last run begin somewhere too.
    begun = replace(position, begun=first_offsets(source, topic, position, landed))
    wanted = {partition: begun.wanted(partition, landed) for partition in topic.offsets}
    lost = {p: (first, topic.offsets[p][0]) for p, first in wanted.items() if first is not None}
    lost = {p: (first, low) for p, (first, low) in lost.items() if first < low}
    if not lost:
        raise DecisionRefused(
            f"{contract.name}: topic '{topic.name}' still has every offset that has not landed.",
            "There is nothing to give up.",
        )
    told = "gave up " + ", ".join(f"{first}-{low - 1} of partition {p}" for p, (first, low) in sorted(lost.items()))
    floors = {**position.given_up, **{str(partition): low for partition, (_, low) in lost.items()}}
    return _said(contract, position, replace(begun, given_up=floors), by, told, reason)


def rewind(
    contract: Contract, source: Source, broker: Broker, partition: int, offset: int, by: str, reason: str
) -> int:
    """Take what landed of a partition from `offset` on out of landing, to be streamed again; how many records.

    Rows that were loaded of them stay, and are not doubled: a record that comes again is known. Raises DecisionRefused
    where the topic no longer has the offset, or nothing landed from there on.
    """
    from lakehouse.delta import table_sql

    topic, _, records = _there(contract, source, broker)
    low, _ = topic.offsets.get(partition, (-1, -1))
    if offset < low or low < 0:
        raise DecisionRefused(
            f"{contract.name}: topic '{topic.name}' has no offset {offset} in partition {partition}.",
            f"Its first one there is {low}." if low >= 0 else f"It has {len(topic.offsets)} partitions, from 0.",
        )
    # A stream that runs meanwhile would land more behind what is taken out: it is closed.
    with claimed(contract.name, "rewind") as claim:
        before = records.pieces()
        if before.end(topic.id, partition) <= offset:
            raise DecisionRefused(
                f"{contract.name}: nothing from offset {offset} of partition {partition} on has landed.",
                "Run the stream: it goes on there by itself.",
            )
        begun = {**claim.position.begun, str(partition): offset}
        told = f"rewound partition {partition} to offset {offset}"
        # Before anything is taken out: whoever is killed here has lost nothing.
        claim.write(replace(claim.position, begun=begun).with_word(now(), by, told, reason))
        claim.spark.sql(
            f"DELETE FROM {table_sql(records.path)} WHERE topic_id = {literal(topic.id)} "
            f"AND `partition` = {int(partition)} AND `offset` >= {int(offset)}"
        ).collect()
        return before.rows() - records.pieces().rows()


def reset(contract: Contract, by: str, reason: str) -> Position:
    """Begin a new checkpoint at the next run, where the landed records end."""
    folder = paths.stream(contract.name)
    position = positions.read(folder)
    fresh = replace(position, checkpoint=positions.next_checkpoint(folder, position))
    return _said(contract, position, fresh, by, f"reset checkpoint {position.checkpoint}", reason)


def _there(contract: Contract, source: Source, broker: Broker) -> tuple[Topic, Position, Records]:
    position = positions.read(paths.stream(contract.name))
    return broker.topic(source.object), position, Records(paths.records(contract.name))


def _said(contract: Contract, before: Position, after: Position, by: str, what: str, reason: str) -> Position:
    written = positions.write(paths.stream(contract.name), before, after.with_word(now(), by, what, reason))
    if written is None:
        raise DecisionRefused(
            f"{contract.name}: its stream, or somebody else, changed where it stands at this very moment.",
            "See `lakehouse stream status`, and decide again.",
        )
    return written
