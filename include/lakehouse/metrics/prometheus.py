"""Metrics as Prometheus' text format in a file, for node_exporter's textfile collector.

Tasks are processes that end, so the counters live in the file: each send adds to what is there.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Sequence
from pathlib import Path

from lakehouse.metrics.samples import METRICS, Sample

_LINE = re.compile(r'^(\w+)\{table="([^"]*)"\} (\S+)$')


class PrometheusFile:
    """The file at `path`, rewritten whole under a lock: a collector never reads half of it."""

    def __init__(self, path: str, namespace: str) -> None:
        """Names of metrics begin with `namespace` in lower case."""
        self.path = Path(path)
        self.prefix = f"{namespace.lower()}_"

    def send(self, samples: Sequence[Sample]) -> None:
        """Add counters, replace the others. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            values = self._read()
            for sample in samples:
                key = (sample.name, sample.table)
                before = values.get(key, 0.0) if METRICS[sample.name].counter else 0.0
                values[key] = before + sample.value
            draft = self.path.with_suffix(".draft")
            draft.write_text(self._text(values), encoding="utf-8")
            draft.replace(self.path)

    def _read(self) -> dict[tuple[str, str], float]:
        if not self.path.is_file():
            return {}
        lines = (_LINE.match(line) for line in self.path.read_text(encoding="utf-8").splitlines())
        named = ((m[1].removeprefix(self.prefix), m[2], float(m[3])) for m in lines if m)
        return {(name, table): value for name, table, value in named if name in METRICS}

    def _text(self, values: dict[tuple[str, str], float]) -> str:
        lines = []
        for name, metric in METRICS.items():
            rows = sorted((table, value) for (known, table), value in values.items() if known == name)
            if rows:
                full = self.prefix + name
                lines += [f"# HELP {full} {metric.help}", f"# TYPE {full} {'counter' if metric.counter else 'gauge'}"]
                lines += [f'{full}{{table="{table}"}} {float(value)!r}' for table, value in rows]
        return "\n".join(lines) + "\n"
