"""What each step knows that is worth a number, from its batch, the gate's result, the ledger and the Delta logs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.clock import now
from lakehouse.config import settings
from lakehouse.metrics.samples import Sample

if TYPE_CHECKING:
    from lakehouse.contracts.model import Contract
    from lakehouse.pipeline.batch import Batch
    from lakehouse.quality.result import GateResult
    from lakehouse.stream.land import Streamed


def loaded(batch: Batch) -> Iterator[Sample]:
    """What a load was made of, whatever became of it. A batch is counted once: by whoever ends it."""
    counts = batch.counts
    changed = sum(counts.get(name, 0) for name in ("inserted", "updated", "deleted"))
    yield Sample("records_processed_total", batch.table, counts.get("extracted", changed))
    yield Sample("quarantined_total", batch.table, counts.get("quarantined", 0))
    yield Sample("cost_estimate_usd", batch.table, settings().metrics.price.usd(batch.spark_seconds))


def published(batch: Batch) -> Iterator[Sample]:
    """A load that is published and had not been before."""
    yield from loaded(batch)
    at = now()
    yield Sample("latency_seconds", batch.table, (at - batch.started_ts).total_seconds(), at)


def gated(result: GateResult) -> Iterator[Sample]:
    """Critical failures of one gate, 0 included: an alarm goes out by it."""
    failed = sum(rule.severity == "critical" for rule in result.failures)
    yield Sample("dq_critical_failures", result.table, failed)


def aged(table: str) -> Iterator[Sample]:
    """The age of a table's newest row; nothing where its contract promises none, or nothing tells."""
    from lakehouse.contracts import load_contract
    from lakehouse.freshness import freshness

    at = now()
    age = freshness(load_contract(paths.contract_folder(table)), at).age
    if age is not None:
        yield Sample("freshness_seconds", table, age.total_seconds(), at)


def lagged(contract: Contract, watermark: datetime) -> Iterator[Sample]:
    """How far a watermark is behind."""
    at = now()
    yield Sample("watermark_lag_seconds", contract.name, (at - watermark).total_seconds(), at)


def streamed(done: Streamed) -> Iterator[Sample]:
    """How many records of a topic have not landed."""
    yield Sample("stream_lag_records", done.table, done.lag, now())


def standing(contract: Contract) -> Iterator[Sample]:
    """What can be told of a table without a step: age, and lag where it has a source and was loaded."""
    from lakehouse import ledger
    from lakehouse.ledger.state import last_published, watermark

    yield from aged(contract.name)
    events = ledger.read(contract.name)
    if contract.source and last_published(events):
        yield from lagged(contract, watermark(events, contract.source.initial_value))
