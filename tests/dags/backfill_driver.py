"""Types `airflow dags backfill` on a new database, again and again, and plays the scheduler whenever it waits.

Standard input: JSON list of [scheduler, words]; scheduler is {day: how its run ends} (default success; `interrupt`:
Ctrl-C is pressed), or null where there is none. Standard output: JSON list of [exit code, output, errors].
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DAG = """
from datetime import datetime, timezone
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.providers.standard.operators.empty import EmptyOperator

days = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
for name in ("some", "paused"):
    with DAG(name, schedule=days, start_date=datetime(2025, 10, 1, tzinfo=timezone.utc), catchup=False):
        EmptyOperator(task_id="nothing")
"""


def init() -> None:
    from airflow.configuration import conf
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dag import DagModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    folder = Path(conf.get("core", "dags_folder"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "some.py").write_text(DAG)
    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(folder, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors, bag.import_errors
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        session.get(DagModel, "some").is_paused = False
        session.get(DagModel, "paused").is_paused = True


def schedule(ends: dict[str, str]) -> None:
    """End queued runs as `ends` says, and backfills all of whose runs are over."""
    from airflow.models.backfill import Backfill
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        for run in session.scalars(select(DagRun).where(DagRun.state == "queued")).unique():
            end = ends.get(f"{run.logical_date:%Y-%m-%d}", "success")
            if end == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
                return
            for task in run.task_instances:
                task.state = end
            run.end_date = datetime.now(UTC)
            run.state = end
        session.flush()
        for backfill in session.scalars(select(Backfill).where(Backfill.completed_at.is_(None))):
            backfill.completed_at = datetime.now(UTC)


def heartbeat(alive: bool) -> None:
    """The scheduler's sign of life, from now or from long ago."""
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Job).where(Job.job_type == "SchedulerJob"))
        job = Job()
        job.job_type, job.state = "SchedulerJob", "running"
        job.latest_heartbeat = datetime.now(UTC) + timedelta(minutes=10 if alive else -10)
        session.add(job)


def typed(ends: dict[str, str] | None, words: list[str]) -> tuple[Any, str, str]:
    """Exit code, output and errors of the command."""
    from airflow.cli import cli_parser

    from lakehouse_airflow.provider import command

    heartbeat(ends is not None)
    command.time = SimpleNamespace(sleep=lambda seconds: schedule(ends or {}))
    output, errors = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            args = cli_parser.get_parser().parse_args(["dags", "backfill", *words])
            args.func(args)
        except SystemExit as end:
            code = end.code
    return code, output.getvalue(), errors.getvalue()


if __name__ == "__main__":
    # A script starts what it puts into the background with it ignored, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answer = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        init()
        found = [typed(ends, words) for ends, words in json.load(sys.stdin)]
    json.dump(found, answer)
