"""Deadlines of a run and of the gates in it: a mail while the run still goes, once (OPS-1).

Airflow knows deadlines from the moment a run is queued or due; ours count from its start. So a deadline is made far in
the future, and a listener in the scheduler moves it when the run starts. When one passes, the triggerer asks what is
unfinished: that needs no slot of a worker, which is just what is short when things are late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference

from lakehouse_airflow.owners import addressed, owners

if TYPE_CHECKING:
    from lakehouse.manifest import Manifest

#: Where a deadline lies until its run starts: time spent in the queue makes nothing late.
UNSTARTED = datetime(9000, 1, 1, tzinfo=UTC)

RUNBOOK = "runbooks/stuck_run.md"

#: States in which a task is at its end: a failed one is not late, the run's failure tells of it.
ENDED = {"success", "failed", "upstream_failed", "skipped", "removed"}


def run_deadline(within: timedelta, known: Mapping[str, str], runbook: str = RUNBOOK) -> DeadlineAlert:
    """The whole run is over `within` this long of its start; `known` is {task group: owner's address}."""
    return _alert("run", within, known, (), runbook)


def gate_deadlines(manifest: Manifest) -> list[DeadlineAlert]:
    """One deadline for each time at which contracts declare gates due, about all gates due then."""
    known = owners(manifest)
    due: dict[float, list[str]] = {}
    for entry in manifest.entries:
        if entry.gate_deadline:
            due.setdefault(entry.gate_deadline, []).append(entry.name.replace(".", "_"))
    return [
        _alert(
            "quality gates",
            timedelta(seconds=seconds),
            {group: known[group] for group in groups},
            [f"{group}.dq_gate" for group in groups],
            RUNBOOK,
        )
        for seconds, groups in sorted(due.items())
    ]


def _alert(what: str, within: timedelta, known: Mapping[str, str], tasks: Sequence[str], runbook: str) -> DeadlineAlert:
    told = {"what": what, "seconds": within.total_seconds(), "known": dict(known), "tasks": list(tasks)}
    return DeadlineAlert(
        reference=DeadlineReference.FIXED_DATETIME(UNSTARTED),
        interval=within,
        name=f"{what} within {spell(within)}",
        callback=AsyncCallback(missed, kwargs={**told, "runbook": runbook}),
    )


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """In the scheduler, as a run starts: its deadlines that were not missed count from now.

    The run and its deadlines are rows of the scheduler's own session, which commits both at once.
    """
    path = AsyncCallback.get_callback_path(missed)
    for deadline in dag_run.deadlines:
        told = deadline.callback.data
        if told.get("path") == path and not deadline.missed:
            deadline.deadline_time = dag_run.start_date + timedelta(seconds=told["kwargs"]["seconds"])


async def missed(
    what: str,
    seconds: float,
    known: Mapping[str, str],
    tasks: Sequence[str],
    runbook: str,
    context: Mapping[str, Any],
) -> None:
    """In the triggerer, once a deadline passed: mail the owners of what is unfinished.

    Silent for a backfill run, for a run that ended, and where all of `tasks` (default: those of the run) are done.
    """
    from asgiref.sync import sync_to_async

    from lakehouse_airflow.alerts import run_link, send

    run = context["dag_run"]
    if run["state"] != "running" or run["run_type"] == "backfill":
        return
    states = await sync_to_async(_states)(run["dag_id"], run["dag_run_id"])
    late = {task: states[task] for task in tasks or states if task in states and states[task] not in ENDED}
    if not late:
        return
    subject, text = mail(what, seconds, late, run, datetime.now(UTC))
    to = addressed(late, known)
    text += f"Owner    {', '.join(to)}\nRun      {run_link(run['dag_id'], run['dag_run_id'])}\nRunbook  {runbook}\n"
    await sync_to_async(send)(to, subject, text)


def mail(
    what: str, seconds: float, late: Mapping[str, str | None], run: Mapping[str, Any], now: datetime
) -> tuple[str, str]:
    """Subject and body: what is late and by how much. `late` is {task id: state}."""
    started = datetime.fromisoformat(run["start_date"].replace("Z", "+00:00"))
    within = timedelta(seconds=seconds)
    due = started + within
    lines = [
        f"{run['dag_id']} is late: the {what} had {spell(within)} from the run's start.",
        "",
        f"Started  {started:%Y-%m-%d %H:%M:%S} UTC ({run['dag_run_id']})",
        f"Due      {due:%Y-%m-%d %H:%M:%S} UTC, {spell(now - due)} ago",
        *(f"Not done {task} ({state or 'waiting'})" for task, state in sorted(late.items())),
        "",
    ]
    return f"[lakehouse] late: {what} of {run['dag_id']} {run['dag_run_id']}", "\n".join(lines)


def spell(length: timedelta) -> str:
    """4 s, 20 min, 1 h 30 min."""
    seconds = int(length.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join(parts + [f"{seconds % 60} s"] * (seconds % 60 > 0 or not parts))


def _states(dag_id: str, run_id: str) -> dict[str, str | None]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    found: dict[str, str | None] = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    return found
