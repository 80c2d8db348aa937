"""Backfills and their runs in Airflow's database: which days there are, making one, how its runs stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse.errors import LakehouseError


class BackfillRefused(LakehouseError):
    """A backfill that Airflow cannot make, or that nobody would work off."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. Logical dates `first` to `last`, both included."""

    dag_id: str
    first: datetime
    last: datetime
    conf: dict[str, Any] | None
    #: Which runs that are there go again: none, failed, completed.
    reprocess: str
    backwards: bool
    #: None: as many as the DAG allows.
    max_active_runs: int | None


@dataclass(frozen=True)
class Found:
    """One run as it stands."""

    logical_date: datetime
    run_id: str
    state: str
    seconds: float | None = None
    failed_tasks: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Day:
    """One logical date of the range."""

    logical_date: datetime
    #: Whether the backfill makes a run for it, or lets its run go again.
    goes: bool
    #: The run that is there; None: there is none.
    there: Found | None = None


def planned(wanted: Wanted) -> list[Day]:
    """The days of the range that are over. Raises BackfillRefused for a DAG or a range that cannot be."""
    from airflow.exceptions import AirflowException
    from airflow.models.backfill import ReprocessBehavior, _do_dry_run
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    check_dag(wanted)
    told = {"dag_id": wanted.dag_id, "from_date": wanted.first, "to_date": wanted.last, "reverse": wanted.backwards}
    told["dag_run_conf"] = wanted.conf
    with create_session() as session:
        try:
            behavior = ReprocessBehavior(wanted.reprocess)
            goes = {info.logical_date for info in _do_dry_run(**told, reprocess_behavior=behavior, session=session)}
        except (AirflowException, ValueError) as error:
            raise _refused(wanted, error) from error
        inside = DagRun.dag_id == wanted.dag_id, DagRun.logical_date.between(wanted.first, wanted.last)
        there = {
            run.logical_date: Found(run.logical_date, run.run_id, str(run.state), note="was there, left alone")
            for run in session.scalars(select(DagRun).where(*inside))
        }
    days = sorted({*goes, *there}, reverse=wanted.backwards)
    if not days:
        raise BackfillRefused(
            f"{wanted.dag_id} has no logical date that is over from {wanted.first} to {wanted.last}.",
            "Give days that are past, and not before the DAG's start_date.",
        )
    return [Day(day, day in goes, there.get(day)) for day in days]


def create(wanted: Wanted) -> int:
    """Make the backfill; its number. Raises BackfillRefused where Airflow does not."""
    from airflow.exceptions import AirflowException
    from airflow.models.backfill import ReprocessBehavior, _create_backfill
    from airflow.models.dag import DagModel
    from airflow.utils.platform import getuser
    from airflow.utils.session import create_session

    with create_session() as session:
        model = session.get(DagModel, wanted.dag_id)
        allowed = model.max_active_runs if model else None
    try:
        made = _create_backfill(
            dag_id=wanted.dag_id,
            from_date=wanted.first,
            to_date=wanted.last,
            max_active_runs=wanted.max_active_runs or allowed or 1,
            reverse=wanted.backwards,
            dag_run_conf=wanted.conf,
            triggering_user_name=getuser(),
            reprocess_behavior=ReprocessBehavior(wanted.reprocess),
            run_on_latest_version=True,
        )
    except (AirflowException, ValueError) as error:
        raise _refused(wanted, error) from error
    return int(made.id)


def of_backfill(number: int) -> list[Found]:
    """Every run of a backfill, in its order."""
    from airflow.models.backfill import BackfillDagRun
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        mine = select(DagRun).join(BackfillDagRun, BackfillDagRun.dag_run_id == DagRun.id)
        mine = mine.where(BackfillDagRun.backfill_id == number).order_by(BackfillDagRun.sort_ordinal)
        found = []
        for run in session.scalars(mine).unique():
            task = TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id, TaskInstance.state == "failed"
            failed = tuple(sorted(session.scalars(select(TaskInstance.task_id).where(*task))))
            seconds = (run.end_date - run.start_date).total_seconds() if run.end_date and run.start_date else None
            found.append(Found(run.logical_date, run.run_id, str(run.state), seconds, failed))
        return found


def check_scheduler(so_far: str = "") -> None:
    """Raise BackfillRefused unless a scheduler gave a sign of life lately; `so_far` is what it left behind."""
    from airflow.jobs.job import most_recent_job
    from airflow.utils.session import create_session

    with create_session() as session:
        job = most_recent_job("SchedulerJob", session=session)
        alive = bool(job and job.is_alive())
    if not alive:
        raise BackfillRefused(
            f"No scheduler is running. {so_far or 'No run was made.'}",
            "Start it: `lakehouse sandbox up`, or `airflow scheduler`; "
            + ("it goes on with them." if so_far else "then repeat the command."),
        )


def check_dag(wanted: Wanted) -> None:
    """Raise BackfillRefused for a DAG that is unknown or paused: its runs would wait for ever."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        model = session.get(DagModel, wanted.dag_id)
        paused = bool(model and model.is_paused)
    if model is None:
        raise BackfillRefused(f"There is no DAG '{wanted.dag_id}'.", "See `airflow dags list`.")
    if paused:
        raise BackfillRefused(
            f"{wanted.dag_id} is paused: its backfill waits.", f"`airflow dags unpause {wanted.dag_id}`."
        )


def _refused(wanted: Wanted, error: Exception) -> BackfillRefused:
    remedies = {
        "AlreadyRunningBackfill": "Wait for it, or cancel it on the DAG's page in the UI.",
        "InvalidBackfillConf": "Give what the DAG's form takes.",
        "DagNonPeriodicScheduleException": "Trigger it: `airflow dags trigger`.",
    }
    remedy = remedies.get(type(error).__name__, "Give other days, or another DAG.")
    return BackfillRefused(f"{wanted.dag_id}: {error}", remedy)
