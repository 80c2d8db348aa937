"""Metrics to CloudWatch: one namespace, dimensions Owner and Table (`dimensions` is for alarms too)."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse import aws
from lakehouse.config import settings
from lakehouse.metrics.samples import METRICS, Sample

#: A load waits for this at most some seconds: numbers are not worth more.
_CLIENT = {
    "connect_timeout": 2,
    "read_timeout": 3,
    "retries": (("mode", "standard"), ("total_max_attempts", 2)),
}
#: What one call takes.
_MOST = 1000

_UNITS = {"rows": "Count", "rules": "Count", "seconds": "Seconds", "usd": "None"}


class CloudWatch:
    """Puts samples into `namespace`, over the connection aws_default."""

    def __init__(self, namespace: str) -> None:
        """No call is made yet."""
        self.namespace = namespace

    def send(self, samples: Sequence[Sample]) -> None:
        """Raises what boto3 raises, after two short attempts."""
        client = aws.client("cloudwatch", aws.access(), **_CLIENT)
        for start in range(0, len(samples), _MOST):
            data = [_datum(sample) for sample in samples[start : start + _MOST]]
            client.put_metric_data(Namespace=self.namespace, MetricData=data)


def dimensions(table: str) -> list[dict[str, str]]:
    """The dimensions of a table's metrics, sorted by name: several installations may share an account."""
    target = settings().target
    owner = target.owner if target else "lakehouse"
    return [{"Name": "Owner", "Value": owner}, {"Name": "Table", "Value": table}]


def _datum(sample: Sample) -> dict[str, object]:
    return {
        "MetricName": sample.name,
        "Dimensions": dimensions(sample.table),
        "Timestamp": sample.at,
        "Value": sample.value,
        "Unit": _UNITS[METRICS[sample.name].unit],
    }
