"""A DAG whose runs are held, in time or failed, as their conf says; its deadline is a few seconds from the start."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task

from lakehouse_airflow import failure, sla

DEADLINE = timedelta(seconds=6)
KNOWN = {"work": "owner@shop.example"}

with DAG(
    "late",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2025, 10, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    deadline=[sla.run_deadline(DEADLINE, KNOWN)],
    on_failure_callback=failure.mail_failure(KNOWN),
    params={"until": Param("", type="string"), "fail": Param(False, type="boolean")},
    doc_md=__doc__,
):

    @task
    def work(params=None):
        """Wait for the file that the conf names, two minutes at most; then end well, or not."""
        import time
        from pathlib import Path

        since = time.monotonic()
        while params["until"] and not Path(params["until"]).exists() and time.monotonic() < since + 120:
            time.sleep(0.2)
        if params["fail"]:
            raise RuntimeError("asked to fail")

    work()
