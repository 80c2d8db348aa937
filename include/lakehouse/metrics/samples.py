"""What is measured: the metrics there are, and one measurement of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from lakehouse.clock import now


class Metric(NamedTuple):
    """`unit` is rows, rules, seconds or usd. A counter adds up over loads; anything else is how it stands."""

    unit: str
    counter: bool
    help: str


METRICS = {
    "records_processed_total": Metric("rows", True, "Rows that loads extracted, or that transforms changed."),
    "quarantined_total": Metric("rows", True, "Rows that loads set aside."),
    "dq_critical_failures": Metric("rules", False, "Critical rules that failed in the latest gate."),
    "latency_seconds": Metric("seconds", False, "From the first attempt at the latest load to its publish."),
    "cost_estimate_usd": Metric("usd", True, "Transform and gate, at the configured price of Spark."),
    "freshness_seconds": Metric("seconds", False, "Age of the newest row, where the contract promises one."),
    "stream_lag_records": Metric("rows", False, "Records of a topic that have not landed."),
    "watermark_lag_seconds": Metric("seconds", False, "How far the watermark is behind the clock."),
}


@dataclass(frozen=True)
class Sample:
    """One number about one table. `name` is one of METRICS, `at` is aware."""

    name: str
    table: str
    value: float
    at: datetime = field(default_factory=now)
