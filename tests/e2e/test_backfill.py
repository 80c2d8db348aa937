"""Backfills through the real scheduler: days by `airflow dags backfill`, and the form's DAG as it opens.

LAKEHOUSE_BACKFILL_DAYS says how many days: two, each of which takes minutes; `make thorough` takes five.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse import ledger, watermarks
from lakehouse.books import books
from lakehouse.sandbox import envfile
from lakehouse.sandbox.rest import Airflow
from tests.e2e.conftest import DAG, Platform, ends_green
from tests.e2e.test_daily import content

COUNT = int(os.environ.get("LAKEHOUSE_BACKFILL_DAYS") or 2)
DAYS = [datetime(2025, 9, 30, tzinfo=UTC) - timedelta(days=back) for back in reversed(range(COUNT))]
FIRST, LAST = f"{DAYS[0]:%Y-%m-%d}", f"{DAYS[-1]:%Y-%m-%d}"
AIRFLOW = str(Path(sys.executable).with_name("airflow"))


def airflow_says(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    """Type an Airflow command in the sandbox's environment."""
    environ = {**os.environ, **envfile.read(envfile.path(platform.home))}
    return subprocess.run([AIRFLOW, *words], env=environ, capture_output=True, text=True, timeout=1200, check=False)


@pytest.mark.long(200)
def test_days_by_the_command_of_airflow_2(platform: Platform, airflow: Airflow) -> None:
    """OPS-2: they succeed, one after the other; content and watermarks stay, consumers are not run once a day."""
    airflow.await_dag("consumer")
    airflow.set_paused("consumer", False)
    before, marks, heard = content(platform), watermarks.store().all(), len(airflow.dag_runs("consumer"))
    done = airflow_says(platform, "dags", "backfill", DAG, "-s", FIRST, "-e", LAST)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [run for run in airflow.dag_runs(DAG) if run.run_id.startswith("backfill__")]
    assert len(runs) == len(DAYS), "the last day is included"
    assert {run.state for run in runs} == {"success"}
    assert all(f"{day:%Y-%m-%d} 00:00" in done.stdout for day in DAYS)
    loads = [e for e in ledger.read("bronze.orders") if e.kind == "backfill" and e.event == "published"]
    assert [window.low for event in loads for window in event.windows] == DAYS
    assert sum(event.counts["extracted"] for event in loads) > 0
    assert sum(event.counts["inserted"] for event in loads) == 0
    assert content(platform) == before
    assert watermarks.store().all() == marks
    assert books("bronze.orders").faults == ()
    assert len(airflow.dag_runs("consumer")) == heard

    # Once more: the days are there, and are left alone.
    again = airflow_says(platform, "dags", "backfill", DAG, "-s", FIRST, "-e", LAST)
    assert (again.returncode, again.stdout.count("was there, left alone")) == (0, COUNT), again.stderr


def test_the_form_as_it_opens_ends_green_and_changes_nothing(platform: Platform, airflow: Airflow) -> None:
    before = content(platform)
    ends_green(airflow, "lakehouse_backfill", deadline=200)
    # And done: a range that is loaded is no gap.
    conf = {"table": "orders", "start": FIRST, "end": LAST, "from": "source", "dry_run": False}
    ends_green(airflow, "lakehouse_backfill", conf)
    assert content(platform) == before
