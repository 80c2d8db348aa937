"""The demonstration behind `make run`: the shop lives a few days, and the real scheduler runs each of them.

Every day: the sources change, `lakehouse_daily` is triggered for that day's interval, and waited for. Running the
same days again clears their runs; content stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakehouse import aws, connections, manifest
from lakehouse.config import settings
from lakehouse.sandbox import topic, vendor
from lakehouse.sandbox.errors import SandboxBroken
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.rest import FINAL, Airflow
from lakehouse.sandbox.shop import ShopConfig
from lakehouse.sandbox.shop.apply import apply_through
from lakehouse.sandbox.web import store
from lakehouse.status import as_row, table_status

DAG, STREAM_DAG = "lakehouse_daily", "lakehouse_stream"

#: Seconds between looks at a run, of which each costs the API server as much as a task does, and at its last tasks.
PAUSE, LAST_PAUSE, LAST = 5.0, 1.0, 3

#: Told (phase, what goes on in it).
Progress = Callable[[str, str], None]


@dataclass
class Summary:
    """What `make run` prints and leaves as summary.json."""

    ok: bool = True
    ui: str = ""
    #: Seconds of each phase, in order.
    phases: dict[str, float] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)


class Demo:
    """One demonstration against the Airflow at `url`."""

    def __init__(self, url: str, progress: Progress, deadline: float = 900.0, stream: bool = False) -> None:
        """`deadline`: seconds a run may take. `stream`: the apps send events, and each day streams them first."""
        self.stream = stream
        self.summary = Summary(ui=url)
        self.progress = progress
        self.deadline = deadline
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what happens inside as `name`."""
        began = time.monotonic()
        self.progress(name, "starting")
        yield
        self.summary.phases[name] = round(time.monotonic() - began, 1)
        self.progress(name, f"done in {self.summary.phases[name]:.0f} s")

    def seed(self, day: int) -> None:
        """Bring the sources to the end of `day`."""
        seed(day)
        if self.stream:
            topic.send(connections.get("kafka_default").port or 0, Layout(settings().home).kafka, day)

    def run(self, days: int) -> Summary:
        """Live `days` days, and sum up."""
        config = ShopConfig()
        with Airflow(self.summary.ui) as airflow:
            with self.phase("parse DAGs"):
                airflow.await_dag(DAG)
                airflow.set_paused(DAG, False)
            for day in range(1, days + 1):
                low, high = (moment.replace(tzinfo=UTC) for moment in config.window(day))
                with self.phase(f"seed {low:%Y-%m-%d}"):
                    self.seed(day)
                if self.stream:
                    with self.phase(f"stream {low:%Y-%m-%d}"):
                        self.streamed(airflow)
                with self.phase(f"run {low:%Y-%m-%d}"):
                    self.day(airflow, low, high)
                if not self.summary.ok:
                    break
        with self.phase("summary"):
            for status in table_status(manifest.load()):
                seconds = round(self._seconds.get(status.table, 0.0), 1)
                self.summary.tables.append({**as_row(status), "seconds": seconds})
        return self.summary

    def streamed(self, airflow: Airflow) -> None:
        """Run the stream once, as a trigger by hand does."""
        airflow.await_dag(STREAM_DAG)
        airflow.set_paused(STREAM_DAG, False)
        run = airflow.trigger(STREAM_DAG)
        done = airflow.await_run(STREAM_DAG, run.run_id, self.deadline)
        tasks = airflow.tasks(STREAM_DAG, run.run_id)
        failed = sorted(t.task_id for t in tasks if t.state == "failed")
        told = {"run_id": f"{STREAM_DAG}/{run.run_id}", "state": done.state, "tasks": len(tasks), "failed": failed}
        self.summary.runs.append(told)
        self.summary.ok = self.summary.ok and done.state == "success"

    def day(self, airflow: Airflow, low: datetime, high: datetime) -> None:
        """Run the DAG for (low, high], or let that day's run go again where there was one."""
        run_id = f"demo__{low:%Y-%m-%d}"
        if any(run.run_id == run_id for run in airflow.dag_runs(DAG)):
            airflow.clear(DAG, run_id)
        else:
            airflow.trigger(DAG, run_id, logical_date=low, interval=(low, high))
        state = self._await(airflow, run_id)
        tasks = airflow.tasks(DAG, run_id)
        for task in tasks:
            group = task.task_id.partition(".")[0].replace("_", ".", 1)
            self._seconds[group] = self._seconds.get(group, 0.0) + (task.duration or 0.0)
        failed = sorted(t.task_id for t in tasks if t.state == "failed")
        self.summary.runs.append({"run_id": run_id, "state": state, "tasks": len(tasks), "failed": failed})
        self.summary.ok = self.summary.ok and state == "success"

    def _await(self, airflow: Airflow, run_id: str) -> str:
        """Final state of the run, its progress told on the way."""
        until, shown, left = time.monotonic() + self.deadline, "", LAST + 1
        while True:
            state = airflow.dag_run(DAG, run_id).state
            if state in FINAL or left > LAST:
                ended, of, running = airflow.progress(DAG, run_id)
                text, left = f"{ended}/{of} tasks; {', '.join(running)}", of - ended
                if text != shown:
                    self.progress(f"run {run_id.partition('__')[2]}", text)
                    shown = text
            if state in FINAL:
                return state
            if time.monotonic() > until:
                raise SandboxBroken(
                    f"Run {run_id} was still {state} after {self.deadline:.0f} s ({shown}).",
                    f"Look at it in the UI: {self.summary.ui}/dags/{DAG}/runs/{run_id}.",
                )
            time.sleep(PAUSE if left > LAST else LAST_PAUSE)


def seed(day: int) -> int:
    """Apply the shop's days up to `day` to the sources, each once; how many rows were new."""
    with (
        closing(connections.open_source("snowflake_default")) as snowflake,
        closing(connections.open_source("redshift_default")) as redshift,
        closing(connections.open_source(aws.CONNECTION)) as s3,
    ):
        web = Layout(settings().home).web / store.FILE
        rows = sum(table.rows for table in apply_through(snowflake, redshift, day, web=web) if table.applied)
        return rows + vendor.deliver(s3, Layout(settings().home).vendor, day)
