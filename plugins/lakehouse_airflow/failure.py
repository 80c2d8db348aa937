"""The mail of a failed run: one a run, however many tasks failed. Set as a DAG's `on_failure_callback`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

RUNBOOKS = {"dq_gate": "runbooks/dq_failover.md"}
RUNBOOK = "runbooks/stuck_run.md"

#: Reasons that Airflow gives, in words.
REASONS = {
    "task_failure": "a task failed",
    "timed_out": "the run took longer than it may",
    "all_tasks_deadlocked": "no task can go on",
}


def mail_failure(known: Mapping[str, str], runbook: str = RUNBOOK) -> Callable[[Any], None]:
    """A callback that mails the owners of the tables that failed; `known` is {task group: owner's address}."""

    def failed(context: Any) -> None:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        from lakehouse_airflow.alerts import run_link, send
        from lakehouse_airflow.owners import addressed

        dag_id, run_id = context["dag"].dag_id, context["run_id"]
        states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
        subject, text = mail(dag_id, run_id, str(context.get("reason", "")), states, runbook)
        to = addressed([task for task, state in states.items() if state == "failed"], known)
        text += f"Owner    {', '.join(to)}\nRun      {run_link(dag_id, run_id)}\n"
        send(to, subject, text)

    return failed


def mail(
    dag_id: str, run_id: str, reason: str, states: Mapping[str, str | None], runbook: str = RUNBOOK
) -> tuple[str, str]:
    """Subject and body: which tasks failed, how many were stopped by it. `states` is {task id: state}.

    No error text: it may quote a row.
    """
    failed = sorted(task for task, state in states.items() if state == "failed")
    stopped = sum(state == "upstream_failed" for state in states.values())
    runbook = next((page for step, page in RUNBOOKS.items() if any(step in task for task in failed)), runbook)
    lines = [
        f"{dag_id} failed: {REASONS.get(reason, reason)}.",
        "",
        *(f"Failed   {task}" for task in failed),
        f"Not run  {stopped} tasks that wait for those",
        f"Runbook  {runbook}",
        "",
    ]
    return f"[lakehouse] failed: {dag_id} {run_id}", "\n".join(lines)
