"""A small client of Airflow's REST API (v2), for what the sandbox, the demo and the tests do with a live Airflow.

Not a general client: what it does not need is not here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from lakehouse.sandbox.errors import AirflowRefused
from lakehouse.sandbox.rest_results import DagRun, ImportFailure, TaskInstance, dag_run, log_line, task_instance

#: States in which a DAG run stays.
FINAL = frozenset({"success", "failed"})
#: States in which a task stays.
ENDED = ("success", "failed", "upstream_failed", "skipped")


class Airflow:
    """A session with the Airflow at `url`. Its methods raise AirflowRefused when Airflow will not do what is asked."""

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        """`url` without a path, such as http://127.0.0.1:8080. The token is fetched on the first call."""
        # trust_env=False: a proxy of the shell must not get what is meant for loopback.
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close it."""
        self._http.close()

    def set_pool(self, name: str, slots: int, description: str = "") -> None:
        """Create the pool, or give it this size."""
        body = {"slots": slots, "description": description, "include_deferred": False}
        changed = self._send("PATCH", f"/pools/{name}", {"pool": name, **body}, missing_ok=True)
        if changed is None:
            self._send("POST", "/pools", {"name": name, **body})

    def import_failures(self) -> list[ImportFailure]:
        """The DAG files that could not be read."""
        answer = self._call("GET", "/importErrors", params={"limit": 100})
        return [ImportFailure(str(e.get("filename")), str(e.get("stack_trace"))) for e in answer["import_errors"]]

    def await_dag(self, dag_id: str, deadline: float = 90.0, patience: float = 20.0) -> None:
        """Return when Airflow has parsed `dag_id`. Raises with the import errors when it cannot be.

        Where files fail to import, the DAG may still come from another one, so `patience` seconds pass before that
        is held to be the reason.
        """
        began = time.monotonic()
        failing_since: float | None = None
        while self._send("GET", f"/dags/{dag_id}", missing_ok=True) is None:
            now = time.monotonic()
            failures = self.import_failures()
            failing_since = (failing_since or now) if failures else None
            if failing_since and now - failing_since > patience:
                first = failures[0]
                raise AirflowRefused(
                    f"Airflow has no DAG '{dag_id}'; {first.file} does not import:\n{first.stack_trace[-1500:]}",
                    "Correct the file; Airflow reads it again within 30 seconds.",
                )
            if now - began > deadline:
                raise AirflowRefused(
                    f"Airflow had not parsed a DAG '{dag_id}' within {deadline:.0f} s.",
                    "Check the DAG id and the log of airflow-dag-processor under sandbox/logs.",
                )
            time.sleep(0.5)

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """Pause or un-pause a DAG."""
        self._call("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def trigger(
        self,
        dag_id: str,
        run_id: str | None = None,
        logical_date: datetime | None = None,
        interval: tuple[datetime, datetime] | None = None,
        conf: Mapping[str, Any] | None = None,
    ) -> DagRun:
        """Start a run. `interval` is the data interval and needs a logical date; all times must be aware."""
        body: dict[str, Any] = {"logical_date": _text(logical_date), "conf": dict(conf or {})}
        if run_id:
            body["dag_run_id"] = run_id
        if interval:
            body["data_interval_start"], body["data_interval_end"] = _text(interval[0]), _text(interval[1])
            body["run_after"] = _text(interval[1])
        return dag_run(self._call("POST", f"/dags/{dag_id}/dagRuns", body))

    def backfill(self, dag_id: str, first: datetime, last: datetime, conf: Mapping[str, Any] | None = None) -> None:
        """Start a backfill run for each interval from `first` to `last`; the scheduler works them off."""
        body = {"dag_id": dag_id, "from_date": _text(first), "to_date": _text(last), "dag_run_conf": dict(conf or {})}
        self._call("POST", "/backfills", body)

    def dag_run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return dag_run(self._call("GET", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}"))

    def dag_runs(self, dag_id: str) -> list[DagRun]:
        """Every run of a DAG, oldest first."""
        rows = self._pages(f"/dags/{dag_id}/dagRuns", "dag_runs", {"order_by": "run_after"})
        return [dag_run(row) for row in rows]

    def await_run(self, dag_id: str, run_id: str, deadline: float, pause: float = 0.5) -> DagRun:
        """The run, when it has ended. Raises where it has not within `deadline` seconds."""
        until = time.monotonic() + deadline
        while True:
            run = self.dag_run(dag_id, run_id)
            if run.state in FINAL:
                return run
            if time.monotonic() > until:
                states = {task.task_id: task.state for task in self.tasks(dag_id, run_id)}
                raise AirflowRefused(
                    f"Run {run_id} of {dag_id} was still {run.state} after {deadline:.0f} s: {states}.",
                    "Look at the tasks that wait or run in the UI, or wait longer.",
                )
            time.sleep(pause)

    def tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances"
        return [task_instance(row) for row in self._pages(path, "task_instances", {})]

    def progress(self, dag_id: str, run_id: str) -> tuple[int, int, list[str]]:
        """(tasks ended, tasks, those that run) of a run, without listing them all."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances"
        ended = self._call("GET", path, params={"state": list(ENDED), "limit": 1})["total_entries"]
        of = self._call("GET", path, params={"limit": 1})["total_entries"]
        running = self._pages(path, "task_instances", {"state": "running"})
        return ended, of, sorted(task_instance(row).task_id for row in running)

    def clear(self, dag_id: str, run_id: str, only_failed: bool = False) -> int:
        """Let every task of a run (or only its failed ones) run again. Returns how many."""
        body = {"dry_run": False, "only_failed": only_failed}
        if not only_failed:
            # The run's own `clear` resets the run too, so that it starts as new.
            self._call("POST", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/clear", body)
            return len(self.tasks(dag_id, run_id))
        answer = self._call("POST", f"/dags/{dag_id}/clearTaskInstances", {**body, "dag_run_id": run_id})
        return int(answer["total_entries"])

    def log(self, dag_id: str, run_id: str, task: TaskInstance, try_number: int | None = None) -> str:
        """The log of one try (default: the latest) as text, one event a line."""
        path = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task.task_id}"
        path += f"/logs/{try_number or task.try_number}"
        answer = self._call("GET", path, params={"full_content": "true", "map_index": task.map_index})
        return "\n".join(log_line(entry) for entry in answer["content"])

    def _pages(self, path: str, key: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            answer = self._call("GET", path, params={**params, "limit": 100, "offset": len(rows)})
            rows += answer[key]
            if not answer[key] or len(rows) >= answer["total_entries"]:
                return rows

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        answer = self._send(method, path, body, params)
        return answer or {}

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        missing_ok: bool = False,
    ) -> dict[str, Any] | None:
        """The answer's JSON; None for 404 where `missing_ok`."""
        try:
            answer = self._request(method, path, body, params)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._login()  # The first call, or the token has run out.
                answer = self._request(method, path, body, params)
        except httpx.HTTPError as error:
            raise AirflowRefused(
                f"Airflow at {self._http.base_url} does not answer {method} {path} ({type(error).__name__}).",
                "Run `lakehouse sandbox status`, and `lakehouse sandbox up` where it is not running.",
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND and missing_ok:
            return None
        if answer.is_error:
            raise AirflowRefused(
                f"Airflow refused {method} {path} with {answer.status_code}: {answer.text[:1000]}",
                "Check the ids in the call against the UI.",
            )
        parsed: dict[str, Any] = answer.json() if answer.content else {}
        return parsed

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, Any] | None
    ) -> httpx.Response:
        return self._http.request(method, f"/api/v2{path}", json=body, params=params)

    def _login(self) -> None:
        answer = self._http.get("/auth/token")
        if answer.is_error:
            raise AirflowRefused(
                f"Airflow gave no token ({answer.status_code}).", "This client works with the sandbox's Airflow only."
            )
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _quoted(run_id: str) -> str:
    return quote(run_id, safe="")


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
