"""From Airflow's context to the library's Run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse.pipeline.batch import Run


def run_of(context: Mapping[str, Any]) -> Run:
    """The run a task belongs to.

    A trigger by hand has no logical date and no interval: it runs up to `run_after`. A backfill run loads its own
    interval; every other run loads what is due up to the end of its interval.
    """
    from lakehouse.pipeline.batch import Run

    dag_run = context["dag_run"]
    run_id = f"{dag_run.dag_id}/{dag_run.run_id}"
    if dag_run.logical_date is None:
        return Run(run_id, "manual", end=dag_run.run_after)
    kind = "backfill" if str(getattr(dag_run.run_type, "value", dag_run.run_type)) == "backfill" else "scheduled"
    start, end = context["data_interval_start"], context["data_interval_end"]
    return Run(run_id, kind, end=end, start=start)  # type: ignore[arg-type]
