"""Logs: one JSON object a line, with run_id, batch_id, job, table and trace_id (OPS-5).

Airflow tasks keep Airflow's structlog set-up, which merges the same bound context into its own JSON lines;
`configure()` is for processes of our own.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from lakehouse.pipeline.batch import Batch


def configure(path: Path | None = None) -> None:
    """Write JSON lines to `path` (default: stderr) from here on."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a", encoding="utf-8", buffering=1) if path else sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def get() -> Any:
    """The library's logger; the bound context comes with every line."""
    return structlog.get_logger("lakehouse")


@contextmanager
def bound(batch: Batch, job: str) -> Iterator[None]:
    """Bind a batch's context to every line inside, and say at the end how long it took."""
    began = time.monotonic()
    with structlog.contextvars.bound_contextvars(
        run_id=batch.run.run_id,
        batch_id=batch.batch_id,
        job=job,
        table=batch.table,
        trace_id=batch.run.trace_id,
    ):
        try:
            yield
        except BaseException as error:
            # The type only: the message goes to the error itself, where its author answers for what it holds.
            get().error("step failed", error=type(error).__name__, duration=round(time.monotonic() - began, 3))
            raise
        get().info("step done", duration=round(time.monotonic() - began, 3))
