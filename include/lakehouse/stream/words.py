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
    landed, done = records.landed(known), delivered(ledger.read(contract.name))
    loaded: dict[int, int] = {}
    for piece in records.pieces():
        if piece.topic_id == known and piece.name in done:
            loaded[piece.partition] = max(loaded.get(piece.partition, 0), piece.last + 1)
    return [
        {
            "partition": partition,
            "first": low,
            "end": high,
            "landed": landed.get(partition, 0),
            "loaded": loaded.get(partition, 0),
            "lag": max(high - max(landed.get(partition, 0), position.floor(partition), low), 0),
            "topic_id": known if known == topic.id else f"{known}, but the topic is {topic.id}",
            "checkpoint": position.checkpoint,
        }
        for partition, (low, high) in sorted(topic.offsets.items())
    ]


def adopt(contract: Contract, source: Source, broker: Broker, by: str, reason: str) -> Position:
    """Read the topic that was made anew, from its first offset. What the old one gave stays.

    Raises DecisionRefused where it is the topic that is read already.
    """
    topic, position, _ = _there(contract, source, broker)
    if position.topic_id in ("", topic.id):
        raise DecisionRefused(
            f"{contract.name}: topic '{topic.name}' is the one that is read ({topic.id}).", "There is nothing to adopt."
        )
    told = f"adopted topic {topic.id} in place of {position.topic_id}"
    fresh = replace(position, topic_id=topic.id, given_up={}, checkpoint=position.checkpoint + 1)
    return _said(contract, fresh, by, told, reason)


def give_up(contract: Contract, source: Source, broker: Broker, by: str, reason: str) -> Position:
    """Go on without the offsets that the topic has deleted before they landed; which, is kept.

    Raises DecisionRefused where none are missing.
    """
    topic, position, records = _there(contract, source, broker)
    landed = records.landed(topic.id)
    lost = {
        partition: (max(landed.get(partition, 0), position.floor(partition)), low)
        for partition, (low, _) in topic.offsets.items()
        if (partition in landed or position.floor(partition))
        and max(landed.get(partition, 0), position.floor(partition)) < low
    }
    if not lost:
        raise DecisionRefused(
            f"{contract.name}: topic '{topic.name}' still has every offset that has not landed.",
            "There is nothing to give up.",
        )
    told = "gave up " + ", ".join(f"{first}-{low - 1} of partition {p}" for p, (first, low) in sorted(lost.items()))
    floors = {**position.given_up, **{str(partition): low for partition, (_, low) in lost.items()}}
    return _said(contract, replace(position, given_up=floors), by, told, reason)


def rewind(
    contract: Contract, source: Source, broker: Broker, partition: int, offset: int, by: str, reason: str
) -> int:
    """Take what landed of a partition from `offset` on out of landing, to be streamed again; how many records.

    Rows that were loaded of them stay, and are not doubled: a record that comes again is known. Raises DecisionRefused
    where the topic no longer has the offset, or nothing landed from there on.
    """
    from lakehouse.delta import table_sql
    from lakehouse.spark import connected, fence, session_id

    topic, position, records = _there(contract, source, broker)
    low, _ = topic.offsets.get(partition, (-1, -1))
    if offset < low or low < 0:
        raise DecisionRefused(
            f"{contract.name}: topic '{topic.name}' has no offset {offset} in partition {partition}.",
            f"Its first one there is {low}." if low >= 0 else f"It has {len(topic.offsets)} partitions, from 0.",
        )
    if records.landed(topic.id).get(partition, 0) <= offset:
        raise DecisionRefused(
            f"{contract.name}: nothing from offset {offset} of partition {partition} on has landed.",
            "Run the stream: it goes on there by itself.",
        )
    if position.attempt:
        fence(session_id(contract.name, position.attempt))
    before = records.rows()
    with connected(f"{contract.name} rewind") as spark:
        spark.sql(
            f"DELETE FROM {table_sql(records.path)} WHERE topic_id = {literal(topic.id)} "
            f"AND `partition` = {int(partition)} AND `offset` >= {int(offset)}"
        ).collect()
    told = f"rewound partition {partition} to offset {offset}"
    _said(contract, replace(position, checkpoint=position.checkpoint + 1), by, told, reason)
    return before - records.rows()


def reset(contract: Contract, by: str, reason: str) -> Position:
    """Begin a new checkpoint at the next run, where the landed records end."""
    position = positions.read(paths.stream(contract.name))
    told = f"reset checkpoint {position.checkpoint}"
    return _said(contract, replace(position, checkpoint=position.checkpoint + 1), by, told, reason)


def _there(contract: Contract, source: Source, broker: Broker) -> tuple[Topic, Position, Records]:
    folder = paths.stream(contract.name)
    return broker.topic(source.object), positions.read(folder), Records(positions.records(folder))


def _said(contract: Contract, position: Position, by: str, what: str, reason: str) -> Position:
    kept = position.with_word(now(), by, what, reason)
    positions.write(paths.stream(contract.name), kept)
    return kept
