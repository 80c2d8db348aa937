"""Metrics of the steps: measured where they happen, handed to whatever sinks the configuration names.

A sink is a class with `send`; a new one is that and an entry in `_SINKS`. No load fails for its metrics' sake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from lakehouse import log
from lakehouse.config import settings
from lakehouse.metrics.cloudwatch import CloudWatch
from lakehouse.metrics.jsonl import JsonLines
from lakehouse.metrics.prometheus import PrometheusFile
from lakehouse.metrics.samples import METRICS, Metric, Sample
from lakehouse.sections import MetricsSettings, SinkSettings

__all__ = ["METRICS", "Metric", "Sample", "Sink", "emit", "sinks"]


class Sink(Protocol):
    """Somewhere that samples go."""

    def send(self, samples: Sequence[Sample]) -> None:
        """Hand over `samples`. May raise whatever its client raises, and should not take long about it."""


_SINKS: dict[str, Callable[[MetricsSettings, SinkSettings], Sink]] = {
    "jsonl": lambda told, sink: JsonLines(sink.path),
    "prometheus": lambda told, sink: PrometheusFile(sink.path, told.namespace),
    "cloudwatch": lambda told, sink: CloudWatch(told.namespace),
}

#: What has been complained of in this process: a sink that is down would fill the log otherwise.
_complained: set[str] = set()


def sinks() -> list[tuple[str, Sink]]:
    """The configured sinks, with their kinds."""
    told = settings().metrics
    return [(sink.kind, _SINKS[sink.kind](told, sink)) for sink in told.sinks]


def emit(measure: Callable[[], Iterable[Sample]]) -> None:
    """Hand what `measure` finds to every sink. Raises nothing: what fails is logged, once a process and sink."""
    try:
        samples = list(measure())
    except Exception as error:
        _complain("measure", error)
        return
    for kind, sink in sinks() if samples else ():
        try:
            sink.send(samples)
        except Exception as error:
            _complain(kind, error)


def _complain(what: str, error: Exception) -> None:
    if what not in _complained:
        _complained.add(what)
        log.get().warning("metrics not sent", sink=what, error=type(error).__name__)
