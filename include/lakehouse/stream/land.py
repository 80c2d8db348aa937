"""Streaming a topic into its landing table: one run of Spark's Structured Streaming, begun where the records end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from lakehouse import paths
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach
from lakehouse.stream import position as positions
from lakehouse.stream.broker import Broker, BrokerUnavailable, Topic
from lakehouse.stream.checkpoint import agrees
from lakehouse.stream.claim import claimed
from lakehouse.stream.offsets import RUNBOOK, first_offsets, lag, starting_offsets
from lakehouse.stream.position import Position
from lakehouse.stream.records import Piece, Records

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
#: Seconds between two questions whether the topic is still the same.
CHECK = 30.0


class TopicRecreated(LakehouseError):
    """The topic is not the one that was read before: its offsets have begun anew."""


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

    `available-now`: what is there at the start. `continuous`: what comes, too, for `seconds`. Attempts before this one
    are closed first, whatever they still run. Raises TopicRecreated, OffsetsLost, StreamFailed, Fenced where a later
    attempt took over, and what the broker raises.
    """
    began, records = time.monotonic(), Records(paths.records(contract.name))
    records.begin()
    with claimed(contract.name, "stream") as claim:
        # Only now: a query whose client died goes on until its session is closed, and lands more.
        topic, before = broker.topic(source.object), claim.position
        there = records.pieces()
        landed = there.landed(topic.id)
        _check_topic(contract, topic, before, there)
        begun = first_offsets(source, topic, before, landed)
        start = starting_offsets(contract, topic, landed, replace(before, begun=begun))
        fresh = not agrees(positions.checkpoint(claim.folder, before), topic.name, start)
        number = positions.next_checkpoint(claim.folder, before) if fresh else before.checkpoint
        claim.write(replace(before, topic_id=topic.id, begun=begun, checkpoint=number))
        reach("stream.positioned")
        until = time.monotonic() + seconds if seconds is not None and trigger == "continuous" else None
        with _told(contract):
            checkpoint = positions.checkpoint(claim.folder, claim.position)
            query = _begin(claim.spark, source, broker, topic, start, checkpoint, records.path, trigger)
            reach("stream.begun")
            _watch(query, until, progress, lambda: _check_topic(contract, broker.topic(source.object), claim.position))
        reach("stream.ended")
        # A query whose session was closed ends as if it were done.
        claim.check()
        positions.forget_checkpoints(claim.folder, claim.position)
        if until is not None and time.monotonic() < until:
            raise StreamFailed(
                f"{contract.name}: its continuous stream ended before its time; what had landed stays.",
                f"Clear the task: it goes on where the records end. See {RUNBOOK}.",
            )
        after, now_there = broker.topic(source.object), records.pieces()
        _check_topic(contract, after, claim.position)
        return Streamed(
            table=contract.name,
            topic_id=topic.id,
            records=now_there.rows() - there.rows(),
            lag=lag(after, now_there.landed(topic.id), claim.position),
            seconds=round(time.monotonic() - began, 1),
            checkpoint=number,
            fresh_checkpoint=fresh,
        )


def _check_topic(contract: Contract, topic: Topic, position: Position, there: Sequence[Piece] = ()) -> None:
    """Raise TopicRecreated where the topic is not the one read before; `there` tells which, where no position does."""
    ids = {piece.topic_id for piece in there}
    known = position.topic_id or ("" if topic.id in ids else next(iter(sorted(ids)), ""))
    if known and known != topic.id:
        raise TopicRecreated(
            f"{contract.name}: topic '{topic.name}' was deleted and made again, or is another one than before (its id "
            f"was {known}, and is {topic.id}): its offsets begin anew, and what the old one held and never landed is "
            "not in it.",
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


def _watch(
    query: StreamingQuery, until: float | None, progress: Callable[[str], object], check: Callable[[], object]
) -> None:
    """Until it ends, or `until`: a micro-batch that is broken off is repeated whole by the next run."""
    told, checked = -1, time.monotonic()
    while not query.awaitTermination(LOOK):
        last = query.lastProgress
        if last is not None and last["batchId"] != told:
            told = last["batchId"]
            progress(f"batch {told}: {last['numInputRows']} records")
            reach("stream.batch")
        if time.monotonic() - checked > CHECK:
            check()
            checked = time.monotonic()
        if until is not None and time.monotonic() >= until:
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
        if any(f"errors.{name}" in text for name in ("TimeoutException", "DisconnectException", "NetworkException")):
            raise BrokerUnavailable(
                f"{contract.name}: the broker stopped answering while its topic was read.",
                f"See that it runs, and clear the task: it goes on where the records end. See {RUNBOOK}.",
            ) from None
        kind = error.getCondition() or type(error).__name__
        raise StreamFailed(
            f"{contract.name}: Spark ended the stream ({kind}); what had landed stays.",
            f"Read Spark's log for the cause, and clear the task. See {RUNBOOK}.",
        ) from None
