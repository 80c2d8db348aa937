"""Metrics as JSON lines in a file: {"metric", "table", "value", "unit", "at"}."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lakehouse.metrics.samples import METRICS, Sample


class JsonLines:
    """Appends to `path`; several processes may, a line is one write."""

    def __init__(self, path: str) -> None:
        """The file is made with the first sample."""
        self.path = Path(path)

    def send(self, samples: Sequence[Sample]) -> None:
        """Append one line each. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{json.dumps(_line(sample))}\n" for sample in samples))


def _line(sample: Sample) -> dict[str, object]:
    return {
        "metric": sample.name,
        "table": sample.table,
        "value": sample.value,
        "unit": METRICS[sample.name].unit,
        "at": sample.at.isoformat(),
    }
