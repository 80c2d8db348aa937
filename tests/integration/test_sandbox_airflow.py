"""The sandbox with Airflow: a run to success by the REST client, and `down` while a task is at work."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from lakehouse.config import settings
from lakehouse.sandbox import processes, stack
from lakehouse.sandbox.errors import AirflowRefused
from lakehouse.sandbox.rest import Airflow

pytestmark = pytest.mark.long(100)

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

DAGS = '''
"""airflow dag"""
from airflow.sdk import dag, task
from airflow.timetables.interval import CronDataIntervalTimetable
from datetime import datetime

@dag(schedule=CronDataIntervalTimetable("0 0 * * *", "UTC"), start_date=datetime(2026, 1, 1), catchup=True)
def quick():
    @task(pool="spark")
    def speak(data_interval_end=None):
        print("the interval ends", data_interval_end)

    speak()

@dag
def slow():
    @task
    def sleep(folder):
        import subprocess, sys
        from pathlib import Path
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        Path(folder, "asleep").touch()
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"])

    sleep("{{ dag_run.conf['folder'] }}")

quick()
slow()
'''


def quiet(name: str, what: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory):
    patch = pytest.MonkeyPatch()
    home, dags = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("dags")
    (dags / "try.py").write_text(DAGS)
    (dags / "broken.py").write_text('"""airflow dag"""\nimport nonesuch\n')
    patch.setenv("LAKEHOUSE_HOME", str(home))
    patch.delenv("LAKEHOUSE_UI_PORT", raising=False)
    settings.cache_clear()
    try:
        address = stack.up(True, quiet, dags=dags)
        assert address is not None
        with Airflow(address) as api:
            yield home, api
    finally:
        stack.down(quiet)
        data = home / "sandbox" / "postgres"
        if data.is_symlink():
            shutil.rmtree(data.resolve().parent)
        patch.undo()
        settings.cache_clear()


def test_a_run_goes_to_success_and_can_be_cleared(site):
    home, api = site
    api.await_dag("quick")
    api.set_paused("quick", False)
    day = datetime(2026, 3, 2, tzinfo=UTC)
    run = api.trigger("quick", "first", day - timedelta(days=1), (day - timedelta(days=1), day))
    run = api.await_run("quick", run.run_id, deadline=120)
    assert (run.state, run.data_interval_end) == ("success", day)
    (task,) = api.tasks("quick", "first")
    assert (task.state, task.try_number) == ("success", 1)
    assert task.duration is not None
    assert "the interval ends 2026-03-02" in api.log("quick", "first", task)
    assert api.clear("quick", "first") == 1
    assert api.await_run("quick", "first", deadline=120).state == "success"
    assert api.tasks("quick", "first")[0].try_number == 2
    # Un-paused with catchup, and yet no run but ours: the shop's calendar drives the days.
    assert [run.run_id for run in api.dag_runs("quick")] == ["first"]
    assert "quick" in (home / "lineage" / "openlineage.jsonl").read_text()


def test_a_dag_that_does_not_import_is_told(site):
    _, api = site
    with pytest.raises(AirflowRefused, match=r"(?s)broken\.py does not import.*nonesuch"):
        api.await_dag("of_the_broken_file", patience=0)


def test_every_server_of_airflow_listens_on_loopback_only(site):
    listening = set()
    for service in stack.status():
        leader = psutil.Process(service.pid)
        for process in (leader, *leader.children(recursive=True)):
            listening |= {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_down_ends_a_task_at_work_and_what_it_started(site, tmp_path: Path):
    home, api = site
    api.await_dag("slow")
    api.set_paused("slow", False)
    api.trigger("slow", "only", conf={"folder": str(tmp_path)})
    until = time.monotonic() + 120
    while not (tmp_path / "asleep").exists():
        assert time.monotonic() < until
        time.sleep(0.2)
    before = family()
    assert len(before) > 15
    stack.down(quiet)
    assert [process for process in before if not processes._over(process)] == []
    assert processes._marked(home / "sandbox") == []


def family() -> list[psutil.Process]:
    """Everything in the sessions of the running services, and what carries the sandbox's mark."""
    sessions = {service.pid for service in stack.status()}
    found = {process.pid: process for process in processes._marked(settings().home / "sandbox")}
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in sessions:
                found[process.pid] = process
        except (ProcessLookupError, psutil.Error):
            continue
    return list(found.values())
