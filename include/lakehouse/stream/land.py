"""Streaming a topic into its landing table: one run of Spark's Structured Streaming, begun where the records end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from lakehouse import paths
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach
from lakehouse.stream import position as positions
from lakehouse.stream.broker import Broker, BrokerUnavailable, Topic
from lakehouse.stream.checkpoint import agrees
from lakehouse.stream.position import Position
from lakehouse.stream.records import Records

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming import StreamingQuery

Trigger = Literal["available-now", "continuous"]

#: Seconds between micro-batches of a continuous stream: a commit to the landing table each.
EVERY = 10
#: Records a micro-batch takes at most, all partitions together, unless the contract says otherwise.
BATCH_RECORDS = 1_000_000
#: Seconds between two looks at a stream that runs.
LOOK = 1.0

RUNBOOK = "runbooks/streaming_restart.md"


class TopicRecreated(LakehouseError):
    """The topic is not the one that was read before: its offsets have begun anew."""


class OffsetsLost(LakehouseError):
    """The topic no longer has records that never landed."""


class StreamFailed(LakehouseError):
    """Spark ended the stream with an error."""


@dataclass(frozen=True)
class Streamed:
    """What a run of the stream did."""

    table: str
    topic_id: str
    #: Records landed.
    records: int
    #: Records of the topic that had not landed when it ended.
    lag: int
    seconds: float
    #: Number of the checkpoint, and whether it was begun in this run.
    checkpoint: int
    fresh_checkpoint: bool

    def to_row(self) -> dict[str, Any]:
        """As operators and the command line show it."""
        return dict(vars(self))


def stream(
    contract: Contract,
    source: Source,
    broker: Broker,
    trigger: Trigger = "available-now",
    seconds: float | None = None,
    progress: Callable[[str], object] = lambda line: None,
) -> Streamed:
    """Land what the topic has beyond the records landed, each offset once, and return.

    `available-now`: what is there at the start. `continuous`: what comes, too, for `seconds`. An attempt before this
    one is closed first, whatever it still runs. Raises TopicRecreated, OffsetsLost, StreamFailed, and what the broker
    raises.
    """
    from lakehouse.spark import connected, fence, session_id

    began, folder, topic = time.monotonic(), paths.stream(contract.name), broker.topic(source.object)
    records, before = Records(positions.records(folder)), positions.read(folder)
    _check_topic(contract, topic, before)
    attempt = uuid4().hex
    if before.attempt:
        # Before its records are counted: a query whose client died goes on, and may land more.
        fence(session_id(contract.name, before.attempt))
    records.begin()
    landed, there = records.landed(topic.id), records.rows()
    start = starting_offsets(contract, source, topic, landed, before)
    fresh = not agrees(positions.checkpoint(folder, before), topic, start)
    now = replace(before, topic_id=topic.id, attempt=attempt, checkpoint=before.checkpoint + fresh)
    positions.write(folder, now)
    reach("stream.positioned")
    with connected(f"{contract.name} stream", session_id(contract.name, attempt)) as spark, _told(contract):
        query = _begin(spark, source, broker, topic, start, positions.checkpoint(folder, now), records.path, trigger)
        reach("stream.begun")
        _watch(query, trigger, seconds, progress)
    reach("stream.ended")
    return Streamed(
        table=contract.name,
        topic_id=topic.id,
        records=records.rows() - there,
        lag=lag(broker.topic(source.object), records.landed(topic.id), now),
        seconds=round(time.monotonic() - began, 1),
        checkpoint=now.checkpoint,
        fresh_checkpoint=fresh,
    )


def lag(topic: Topic, landed: Mapping[int, int], position: Position) -> int:
    """Offsets of the topic that have not landed."""
    return sum(
        max(high - max(landed.get(partition, 0), position.floor(partition), low), 0)
        for partition, (low, high) in topic.offsets.items()
    )


def starting_offsets(
    contract: Contract, source: Source, topic: Topic, landed: Mapping[int, int], position: Position
) -> dict[int, int]:
    """Partition -> the first offset to ask for. Raises OffsetsLost where the topic cannot give it.

    Of a partition that never landed: its first offset, or with the option startingOffsets `latest` of the contract its
    end, at the stream's very first run.
    """
    start: dict[int, int] = {}
    for partition, (low, high) in topic.offsets.items():
        wanted = max(landed.get(partition, 0), position.floor(partition))
        if partition not in landed and not position.topic_id and source.options.get("startingOffsets") == "latest":
            wanted = high
        if wanted > high:
            raise OffsetsLost(
                f"{contract.name}: partition {partition} of topic '{topic.name}' ends at offset {high}, and {wanted} "
                "is the next to land: the broker has lost records that landed here.",
                f"See {RUNBOOK}, broker loss: what landed is safe; wait for the broker's own recovery.",
            )
        if wanted < low and (partition in landed or position.floor(partition)):
            raise OffsetsLost(
                f"{contract.name}: topic '{topic.name}' has deleted offsets {wanted} to {low - 1} of partition "
                f"{partition} before they landed.",
                "Have the topic's retention raised. Go on without them, on record, by `lakehouse stream give-up "
                f"--table {contract.name} --reason ...`; see {RUNBOOK}.",
            )
        start[partition] = max(wanted, low)
    return start


def _check_topic(contract: Contract, topic: Topic, position: Position) -> None:
    if position.topic_id and position.topic_id != topic.id:
        raise TopicRecreated(
            f"{contract.name}: topic '{topic.name}' was deleted and made again (its id was {position.topic_id}, and "
            f"is {topic.id}): its offsets begin anew, and what the old one held and never landed is gone.",
            f"See that this was meant, then `lakehouse stream adopt --table {contract.name} --reason ...` reads the "
            f"new one from its first offset; see {RUNBOOK}.",
        )


def _begin(
    spark: SparkSession,
    source: Source,
    broker: Broker,
    topic: Topic,
    start: Mapping[int, int],
    checkpoint: str,
    path: str,
    trigger: Trigger,
) -> StreamingQuery:
    """Start the query. It reads from `start` unless the checkpoint knows of an earlier run."""
    frame = (
        spark.readStream.format("kafka")
        .options(**broker.for_spark())
        .option("subscribe", topic.name)
        .option("startingOffsets", json.dumps({topic.name: {str(p): offset for p, offset in start.items()}}))
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", str(source.options.get("batchRecords", BATCH_RECORDS)))
        .load()
    )
    rows = frame.selectExpr(f"'{topic.id}' AS topic_id", "partition", "offset", "topic", "timestamp", "key", "value")
    writer = (
        rows.writeStream.format("delta")
        .outputMode("append")
        .partitionBy("topic_id", "partition")
        .option("checkpointLocation", checkpoint)
    )
    writer = (
        writer.trigger(availableNow=True)
        if trigger == "available-now"
        else writer.trigger(processingTime=f"{EVERY} seconds")
    )
    return writer.start(path)


def _watch(query: StreamingQuery, trigger: Trigger, seconds: float | None, progress: Callable[[str], object]) -> None:
    """Until it ends, or its time is over: a micro-batch that is broken off is repeated whole by the next run."""
    until = time.monotonic() + seconds if seconds is not None and trigger == "continuous" else None
    told = -1
    while not query.awaitTermination(LOOK):
        last = query.lastProgress
        if last is not None and last["batchId"] != told:
            told = last["batchId"]
            progress(f"batch {told}: {last['numInputRows']} records")
            reach("stream.batch")
        if until is not None and time.monotonic() > until:
            query.stop()
            return


@contextmanager
def _told(contract: Contract) -> Iterator[None]:
    """Spark's words for a failed stream as ours; what it quotes of records stays out."""
    from pyspark.errors import StreamingQueryException

    try:
        yield
    except StreamingQueryException as error:
        text = str(error)
        if "TimeoutException" in text or "bootstrap" in text or "DisconnectException" in text:
            raise BrokerUnavailable(
                f"{contract.name}: the broker stopped answering while its topic was read.",
                f"See that it runs, and clear the task: it goes on where the records end. See {RUNBOOK}.",
            ) from None
        kind = error.getCondition() or type(error).__name__
        raise StreamFailed(
            f"{contract.name}: Spark ended the stream ({kind}); what had landed stays.",
            f"Read Spark's log for the cause, and clear the task. See {RUNBOOK}.",
        ) from None
