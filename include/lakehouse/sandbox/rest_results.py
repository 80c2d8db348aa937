"""What Airflow's REST API answers, typed. Not for asking: that is `rest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class DagRun:
    """A DAG run."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    logical_date: datetime | None
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class TaskInstance:
    """A task of a DAG run, as its latest try left it."""

    task_id: str
    map_index: int
    #: None before the scheduler has looked at it.
    state: str | None
    try_number: int
    start: datetime | None
    end: datetime | None
    #: Seconds.
    duration: float | None


@dataclass(frozen=True)
class ImportFailure:
    """A DAG file that Airflow could not read."""

    file: str
    stack_trace: str


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def dag_run(row: Mapping[str, Any]) -> DagRun:
    """A run from its row in an answer."""
    return DagRun(
        dag_id=row["dag_id"],
        run_id=row["dag_run_id"],
        state=row["state"],
        run_type=row["run_type"],
        logical_date=_time(row.get("logical_date")),
        data_interval_start=_time(row.get("data_interval_start")),
        data_interval_end=_time(row.get("data_interval_end")),
        start=_time(row.get("start_date")),
        end=_time(row.get("end_date")),
    )


def task_instance(row: Mapping[str, Any]) -> TaskInstance:
    """A task instance from its row in an answer."""
    return TaskInstance(
        task_id=row["task_id"],
        map_index=row["map_index"],
        state=row["state"],
        try_number=row["try_number"],
        start=_time(row.get("start_date")),
        end=_time(row.get("end_date")),
        duration=row.get("duration"),
    )


def log_line(entry: Any) -> str:
    """One event of a task's log as a line: time, level, event, then what else it carries."""
    if not isinstance(entry, dict):
        return str(entry)
    rest = {key: value for key, value in entry.items() if key not in ("timestamp", "level", "event") and value}
    line = " ".join(str(entry[key]) for key in ("timestamp", "level", "event") if entry.get(key))
    return f"{line} {rest}" if rest else line
