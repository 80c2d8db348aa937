"""From Airflow's context to the library's Run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.pipeline.batch import Run


class FormWrong(LakehouseError):
    """A run by hand that asks for what cannot be."""


def run_of(context: Mapping[str, Any]) -> Run:
    """The run a task belongs to.

    A trigger by hand has no logical date and no interval: it runs up to `run_after`, or to the moment `up_to` of its
    form. A backfill run loads its own
    interval; every other run loads what is due up to the end of its interval.
    """
    from lakehouse.pipeline.batch import Run

    dag_run = context["dag_run"]
    run_id = f"{dag_run.dag_id}/{dag_run.run_id}"
    if dag_run.logical_date is None:
        return Run(run_id, "manual", end=_end(context))
    kind = "backfill" if is_backfill(context) else "scheduled"
    start, end = context["data_interval_start"], context["data_interval_end"]
    return Run(run_id, kind, end=end, start=start)  # type: ignore[arg-type]


def is_backfill(context: Mapping[str, Any]) -> bool:
    """Whether the run is one of a backfill's, past days that are run once more."""
    run_type = context["dag_run"].run_type
    return str(getattr(run_type, "value", run_type)) == "backfill"


def _end(context: Mapping[str, Any]) -> datetime:
    now: datetime = context["dag_run"].run_after
    told = (context.get("params") or {}).get("up_to")
    if not told:
        return now
    moment = datetime.fromisoformat(told)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment > now:
        raise FormWrong(
            f"The run is to load up to {told}, which is yet to come.", "Trigger it with a moment that is past."
        )
    return moment
